-- Later than all that was seen on the directory before, also where the system's clock was set back in between.
UPDATE roots SET identity = :identity, since_ms = CASE identity WHEN '' THEN 0 ELSE
  max(:now_ms, 1 + coalesce((SELECT max(seen_at_ms) FROM sources WHERE root_id = :id), 0)) END
WHERE id = :id AND identity <> :identity;
