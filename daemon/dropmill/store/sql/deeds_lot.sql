-- In the order in which they were written down.
SELECT d.*, r.path AS root_path, r.kind AS root_kind, r.identity AS root_identity, k.path AS keeper_root_path,
  k.identity AS keeper_root_identity,
  t.path AS target_root_path, t.identity AS target_root_identity
FROM deeds AS d JOIN roots AS r ON r.id = d.root_id JOIN roots AS k ON k.id = d.keeper_root_id
LEFT JOIN roots AS t ON t.id = d.target_root_id
WHERE d.batch_id = :batch_id AND d.state = :state AND d.id > :after ORDER BY d.id LIMIT :limit;
