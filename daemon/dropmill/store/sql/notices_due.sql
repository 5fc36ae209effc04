SELECT n.* FROM notices AS n
WHERE n.state = 'owed' AND n.next_attempt_at_ms <= :now_ms
  AND NOT EXISTS (SELECT 1 FROM publications AS p WHERE p.job_id = n.job_id AND p.state = 'owed')
ORDER BY n.id LIMIT :limit;
