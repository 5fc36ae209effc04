-- The first word about an attempt stands; that of a late worker about an attempt that has ended changes nothing.
UPDATE attempts SET ended_at_ms = :now_ms, result = :result, detail = :detail
WHERE job_id = :job_id AND epoch = :epoch AND ended_at_ms IS NULL;
