SELECT * FROM attempts WHERE job_id = :job_id ORDER BY epoch;
