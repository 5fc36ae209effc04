DELETE FROM holdings WHERE image_id = :image_id;
