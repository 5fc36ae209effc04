-- The path leans again on the renditions that a job, which ended without new ones, was to replace or had put out.
INSERT OR IGNORE INTO versions (root_id, rel, sha256, ino, size_bytes, mtime_ns, image_id, job_id, kept, decided_at_ms)
SELECT n.root_id, n.rel, i.sha256, j.ino, j.size_bytes, j.mtime_ns, p.image_id, j.id,
  NOT EXISTS (SELECT 1 FROM disposals AS d WHERE d.job_id = j.id AND d.state = 'done'), :now_ms
FROM jobs AS n
JOIN publications AS p ON p.id IN (
  SELECT id FROM publications WHERE job_id = :job_id AND state = 'visible'
  UNION ALL
  SELECT id FROM publications
  WHERE state = 'retiring' AND retired_by = :job_id AND visible_at_ms IS NOT NULL AND detail = '')
JOIN jobs AS j ON j.id = p.job_id
JOIN images AS i ON i.id = p.image_id
WHERE n.id = :job_id;
