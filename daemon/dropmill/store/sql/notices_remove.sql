DELETE FROM notices WHERE job_id = :job_id AND state = 'owed';
