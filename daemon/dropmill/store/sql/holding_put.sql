INSERT INTO holdings (image_id, root_id, rel, ino, size_bytes, mtime_ns, job_id, seen_at_ms)
VALUES (:image_id, :root_id, :rel, :ino, :size_bytes, :mtime_ns, :job_id, :now_ms);
