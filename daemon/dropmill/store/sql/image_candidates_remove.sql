DELETE FROM candidates WHERE a = :image_id OR b = :image_id;
