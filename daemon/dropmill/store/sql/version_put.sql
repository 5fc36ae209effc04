INSERT INTO versions (root_id, rel, sha256, ino, size_bytes, mtime_ns, image_id, job_id, kept, decided_at_ms)
VALUES (:root_id, :rel, :sha256, :ino, :size_bytes, :mtime_ns, :image_id, :job_id, :kept, :now_ms)
ON CONFLICT (root_id, rel, sha256) DO UPDATE SET
  ino = excluded.ino, size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns,
  image_id = excluded.image_id, job_id = excluded.job_id, kept = excluded.kept, decided_at_ms = excluded.decided_at_ms;
