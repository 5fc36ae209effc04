SELECT image_id FROM uncompared ORDER BY image_id LIMIT :limit;
