SELECT DISTINCT j.image_id FROM downloads AS d CROSS JOIN jobs AS j ON j.id = d.job_id
WHERE d.canonical = :canonical AND j.image_id < :before
ORDER BY j.image_id DESC LIMIT :limit;
