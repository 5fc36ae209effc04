DELETE FROM versions WHERE image_id = :image_id;
