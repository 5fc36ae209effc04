SELECT i.sha256, r.path AS root_path, h.rel
FROM images AS i
LEFT JOIN holdings AS h ON h.image_id = i.id
LEFT JOIN roots AS r ON r.id = h.root_id
WHERE i.id = :image_id
ORDER BY h.seen_at_ms DESC, h.id DESC
LIMIT :limit;
