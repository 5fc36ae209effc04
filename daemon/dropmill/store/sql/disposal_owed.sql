SELECT id FROM disposals WHERE job_id = :job_id AND state = 'owed';
