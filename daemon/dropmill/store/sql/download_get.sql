SELECT * FROM downloads WHERE job_id = :job_id;
