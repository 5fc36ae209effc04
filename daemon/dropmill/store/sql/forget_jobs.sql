UPDATE jobs SET image_id = NULL, sha256 = NULL WHERE image_id = :image_id;
