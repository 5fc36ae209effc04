SELECT d.canonical, d.hint, d.directory, (SELECT min(l.line) FROM lines AS l WHERE l.job_id = d.job_id) AS line
FROM downloads AS d WHERE d.job_id = :job_id;
