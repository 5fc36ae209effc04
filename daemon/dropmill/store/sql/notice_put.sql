INSERT INTO notices (kind, job_id, state) VALUES (:kind, :job_id, 'owed');
