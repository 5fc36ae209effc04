DELETE FROM members WHERE image_id = :image_id;
