-- What was to be replaced stays, for its successor comes no more. Without a detail it stood when it was to be replaced.
UPDATE OR IGNORE publications SET state = 'visible'
WHERE retired_by = :job_id AND state = 'retiring' AND visible_at_ms IS NOT NULL AND detail = '';
