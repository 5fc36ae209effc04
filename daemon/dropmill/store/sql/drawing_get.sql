SELECT rules, min_texture, after_image_id FROM drawing WHERE id = 1;
