DELETE FROM versions WHERE job_id = :job_id;
