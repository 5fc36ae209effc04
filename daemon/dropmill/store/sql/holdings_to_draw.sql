-- What a batch has moved is decided: it is in no group while it lies where it was moved to.
SELECT h.id, h.image_id, h.root_id, h.rel, h.ino, h.size_bytes, h.mtime_ns, h.seen_at_ms,
  r.kind AS root_kind, r.name AS root_name, r.path AS root_path
FROM holdings AS h JOIN roots AS r ON r.id = h.root_id
WHERE h.image_id IN (SELECT value FROM json_each(:ids)) AND h.missing_scans < 2 AND NOT EXISTS (
  SELECT 1 FROM deeds AS d
  WHERE d.target_root_id = h.root_id AND d.target_name = h.rel AND d.image_id = h.image_id AND d.state = 'done'
)
ORDER BY h.id;
