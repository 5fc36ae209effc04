INSERT INTO evidence (image_id, version, evidence, reason, measured_at_ms)
VALUES (:image_id, :version, :evidence, :reason, :now_ms)
ON CONFLICT DO UPDATE SET version = excluded.version, evidence = excluded.evidence, reason = excluded.reason,
  measured_at_ms = excluded.measured_at_ms;
