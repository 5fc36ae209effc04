DELETE FROM pairs WHERE a = :image_id OR b = :image_id;
