INSERT INTO preferences (name, value, changed_at_ms) VALUES (:name, :value, :now_ms)
ON CONFLICT DO UPDATE SET value = excluded.value, changed_at_ms = excluded.changed_at_ms;
