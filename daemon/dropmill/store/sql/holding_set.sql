-- No upsert: the conflict policy of such a statement would go before that of the triggers on holdings.
UPDATE holdings SET image_id = :image_id, ino = :ino, size_bytes = :size_bytes, mtime_ns = :mtime_ns, job_id = :job_id,
  seen_at_ms = :now_ms
WHERE root_id = :root_id AND rel = :rel;
