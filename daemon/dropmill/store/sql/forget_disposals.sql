UPDATE disposals SET sha256 = NULL
WHERE job_id IN (SELECT id FROM jobs WHERE image_id = :image_id);
