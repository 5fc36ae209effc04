SELECT phash256 FROM images WHERE id = :image_id;
