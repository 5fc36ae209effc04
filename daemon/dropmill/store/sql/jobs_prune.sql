-- Jobs that ended long ago and owe nothing; the ledger of seen files, the images and their renditions stay (Q14).
DELETE FROM jobs WHERE id IN (
  SELECT j.id FROM jobs AS j
  WHERE j.state IN ('completed', 'discarded', 'cancelled') AND j.finished_at_ms < :before_ms
    AND NOT EXISTS (SELECT 1 FROM publications AS p WHERE p.job_id = j.id AND p.state IN ('owed', 'retiring'))
    AND NOT EXISTS (SELECT 1 FROM disposals AS d WHERE d.job_id = j.id AND d.state = 'owed')
    AND NOT EXISTS (SELECT 1 FROM notices AS n WHERE n.job_id = j.id AND n.state = 'owed')
  ORDER BY j.finished_at_ms LIMIT :limit
);
