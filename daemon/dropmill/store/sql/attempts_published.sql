SELECT count(*) FROM attempts WHERE job_id = :job_id AND result = 'published';
