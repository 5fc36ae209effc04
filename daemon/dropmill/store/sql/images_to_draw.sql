SELECT i.id, i.sha256, i.texture, i.format, i.width, i.height, i.orientation, i.captured_at, i.copyright, i.camera,
  i.size_bytes, e.evidence, e.version AS evidence_version, e.reason AS evidence_reason
FROM images AS i LEFT JOIN evidence AS e ON e.image_id = i.id
WHERE i.id IN (SELECT value FROM json_each(:ids));
