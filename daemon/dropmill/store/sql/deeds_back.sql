-- The last one first.
SELECT d.*, r.path AS root_path, r.kind AS root_kind, r.identity AS root_identity,
  t.path AS target_root_path, t.identity AS target_root_identity
FROM deeds AS d JOIN roots AS r ON r.id = d.root_id LEFT JOIN roots AS t ON t.id = d.target_root_id
WHERE d.batch_id = :batch_id AND d.state = 'done' AND d.id < :before ORDER BY d.id DESC LIMIT :limit;
