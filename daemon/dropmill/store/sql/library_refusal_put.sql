INSERT INTO refusals (root_id, rel, ino, size_bytes, mtime_ns, reason, detail, ignored, rules, seen_at_ms)
VALUES (:root_id, :rel, :ino, :size_bytes, :mtime_ns, :reason, :detail, :ignored, :rules, :now_ms)
ON CONFLICT (root_id, rel) DO UPDATE SET ino = excluded.ino, size_bytes = excluded.size_bytes,
  mtime_ns = excluded.mtime_ns, reason = excluded.reason, detail = excluded.detail, ignored = excluded.ignored, rules = excluded.rules,
  seen_at_ms = excluded.seen_at_ms;
