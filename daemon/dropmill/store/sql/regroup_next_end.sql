SELECT max(id) FROM (SELECT id FROM images WHERE id > :after ORDER BY id LIMIT :limit);
