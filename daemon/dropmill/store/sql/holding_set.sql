-- No upsert: the conflict policy of such a statement would go before that of the triggers on holdings. Since when the file
-- is known stays: it is a batch that changes it, not its user.
UPDATE holdings SET image_id = :image_id, ino = :ino, size_bytes = :size_bytes, mtime_ns = :mtime_ns, job_id = :job_id
WHERE root_id = :root_id AND rel = :rel;
