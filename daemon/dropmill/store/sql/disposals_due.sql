-- Originals that may go: everything their job published is visible, and so is what a duplicate leans on (PROTOCOL 10).
-- What was visible and is taken away or done over since does not hold back a move, which may have begun; it does hold
-- back a deletion. disposal_owed.sql says the same of what is never due.
SELECT d.*, j.inbox, j.reason AS job_reason, j.detail AS job_detail, r.path AS root_path, t.path AS target_path
FROM disposals AS d
JOIN jobs AS j ON j.id = d.job_id
JOIN roots AS r ON r.id = d.root_id
LEFT JOIN roots AS t ON t.id = d.target_root_id
WHERE d.state = 'owed' AND d.next_attempt_at_ms <= :now_ms AND j.inbox IN (SELECT value FROM json_each(:inboxes))
  AND NOT EXISTS (
    SELECT 1 FROM publications AS p WHERE p.job_id = d.job_id AND (
      p.state = 'owed' OR (p.state = 'failed' AND (p.visible_at_ms IS NULL OR d.disposition = 'delete'))))
  AND NOT EXISTS (
    SELECT 1 FROM publications AS p JOIN publications AS n ON n.job_id = p.retired_by
    WHERE p.job_id = d.job_id AND p.state = 'retiring' AND (
      n.state = 'owed' OR (n.state = 'failed' AND (p.visible_at_ms IS NULL OR d.disposition = 'delete'))))
  AND (d.anchor_image_id IS NULL OR NOT EXISTS (
    SELECT 1 FROM publications AS p WHERE p.image_id = d.anchor_image_id AND p.state = 'owed'))
ORDER BY d.id LIMIT :limit;
