SELECT d.*, r.path AS root_path, r.identity AS root_identity FROM deeds AS d JOIN roots AS r ON r.id = d.root_id
WHERE d.state = 'done' AND d.purge_at_ms <= :now_ms
  AND d.batch_id IN (SELECT id FROM batches WHERE state = 'done') ORDER BY d.purge_at_ms LIMIT :limit;
