INSERT OR REPLACE INTO regroup (image_id) VALUES (:image_id);
