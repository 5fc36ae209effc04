-- When the given lines had ended, as far as they have and have not been told.
SELECT l.id, max(l.taken_at_ms, coalesce(j.finished_at_ms, 0)) AS at_ms
FROM json_each(:ids) AS wanted
CROSS JOIN lines AS l ON l.id = wanted.value
LEFT JOIN jobs AS j ON j.id = l.job_id
WHERE l.ended = 1 AND l.told = 0;
