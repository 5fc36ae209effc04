-- What people had done to the file of a path, what they moved there, and whose place in the trash it is.
SELECT d.*, r.path AS root_path, k.path AS keeper_root_path, t.path AS target_root_path, b.created_at_ms, b.ended_at_ms,
  b.permanent
FROM deeds AS d JOIN batches AS b ON b.id = d.batch_id JOIN roots AS r ON r.id = d.root_id
JOIN roots AS k ON k.id = d.keeper_root_id LEFT JOIN roots AS t ON t.id = d.target_root_id
WHERE d.state <> 'owed' AND d.id IN (
  SELECT id FROM deeds WHERE root_id = :root_id AND rel = :rel
  UNION SELECT id FROM deeds WHERE target_root_id = :root_id AND target_name = :rel
  UNION SELECT id FROM deeds WHERE batch_id = :batch_id AND root_id = :root_id AND aside_name = :rel
) ORDER BY d.id DESC LIMIT :limit;
