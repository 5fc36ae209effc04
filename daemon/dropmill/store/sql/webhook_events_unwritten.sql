-- Whose job has nothing left to become visible, and of a duplicate the job that it leans on neither.
SELECT e.id, e.type, e.job_id, e.at_ms
FROM webhook_events AS e INDEXED BY webhook_events_unwritten CROSS JOIN jobs AS j ON j.id = e.job_id
WHERE e.body IS NULL AND NOT EXISTS (
  SELECT 1 FROM publications AS p WHERE p.job_id IN (j.id, j.anchor_job_id) AND p.state = 'owed')
ORDER BY e.job_id LIMIT :limit;
