UPDATE attempts SET ended_at_ms = :now_ms, result = :result, detail = :detail WHERE job_id = :job_id AND epoch = :epoch;
