UPDATE attempts SET ended_at_ms = :now_ms, result = 'cancelled' WHERE job_id = :job_id AND ended_at_ms IS NULL;
