SELECT id, job_id, image_id FROM publications
WHERE output_id = :output_id AND final_key = :final_key AND state IN ('owed', 'visible');
