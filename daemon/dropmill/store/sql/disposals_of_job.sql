SELECT d.*, r.path AS root_path, t.path AS target_path, t.kind AS target_kind FROM disposals AS d
JOIN roots AS r ON r.id = d.root_id
LEFT JOIN roots AS t ON t.id = d.target_root_id
WHERE d.job_id = :job_id ORDER BY d.id;
