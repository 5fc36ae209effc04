SELECT p.*, r.path AS output_path FROM publications AS p JOIN roots AS r ON r.id = p.output_id
WHERE p.job_id = :job_id ORDER BY p.id;
