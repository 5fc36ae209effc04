INSERT INTO drawing (id, rules, min_texture, after_image_id) VALUES (1, :rules, :min_texture, :after_image_id)
ON CONFLICT DO UPDATE SET
  rules = excluded.rules, min_texture = excluded.min_texture, after_image_id = excluded.after_image_id;
