DELETE FROM publications WHERE image_id = :image_id;
