SELECT id, state FROM jobs WHERE id < :before ORDER BY id DESC LIMIT :limit;
