SELECT id FROM jobs WHERE sha256 = :sha256 ORDER BY id DESC LIMIT :limit;
