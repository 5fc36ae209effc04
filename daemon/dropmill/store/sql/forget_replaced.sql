UPDATE publications SET replaces = NULL
WHERE replaces IN (SELECT id FROM publications WHERE image_id = :image_id);
