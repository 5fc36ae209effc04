SELECT kind, state, attempts, detail FROM notices WHERE job_id = :job_id ORDER BY id;
