DELETE FROM images WHERE id = :image_id;
