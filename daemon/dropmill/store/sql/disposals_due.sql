-- What is free to go, the view disposals_free says. The owed ones are few, the jobs of an inbox are not: hence the order.
SELECT d.*, j.inbox, j.rel AS source, j.reason AS job_reason, j.detail AS job_detail, r.path AS root_path,
  t.path AS target_path
FROM disposals_free AS d
CROSS JOIN jobs AS j ON j.id = d.job_id
JOIN roots AS r ON r.id = d.root_id
LEFT JOIN roots AS t ON t.id = d.target_root_id
WHERE d.next_attempt_at_ms <= :now_ms AND j.inbox IN (SELECT value FROM json_each(:inboxes))
ORDER BY d.id LIMIT :limit;
