SELECT id FROM images WHERE coded_sha256 = :coded_sha256 AND id <> :id ORDER BY id LIMIT :limit;
