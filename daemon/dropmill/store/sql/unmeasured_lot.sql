SELECT image_id FROM unmeasured ORDER BY image_id LIMIT :limit;
