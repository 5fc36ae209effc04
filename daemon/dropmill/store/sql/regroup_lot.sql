SELECT id, image_id FROM regroup ORDER BY id LIMIT :limit;
