-- What was, or is, at a path: by its jobs, by what leans on it, and by what a library or an archive holds there.
SELECT image_id FROM jobs WHERE root_id = :root_id AND rel = :rel AND image_id < :before
UNION SELECT image_id FROM versions WHERE root_id = :root_id AND rel = :rel AND image_id < :before
UNION SELECT image_id FROM holdings WHERE root_id = :root_id AND rel = :rel AND image_id < :before
ORDER BY image_id DESC LIMIT :limit;
