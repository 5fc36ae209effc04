-- The next images of all, one after the other, where the rules have changed.
INSERT OR REPLACE INTO regroup (image_id) SELECT id FROM images WHERE id > :after ORDER BY id LIMIT :limit;
