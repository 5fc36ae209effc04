SELECT staged_name FROM publications WHERE job_id = :job_id AND state = 'owed';
