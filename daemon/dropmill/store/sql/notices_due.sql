-- The owed ones are few, the jobs of an inbox are not: hence the order.
SELECT n.* FROM notices AS n INDEXED BY notices_owed CROSS JOIN jobs AS j ON j.id = n.job_id
WHERE n.state = 'owed' AND n.next_attempt_at_ms <= :now_ms AND j.inbox IN (SELECT value FROM json_each(:inboxes))
  AND NOT EXISTS (SELECT 1 FROM publications AS p WHERE p.job_id = n.job_id AND p.state = 'owed')
ORDER BY n.id LIMIT :limit;
