-- Not of an image that a person had forgotten since.
INSERT INTO holdings (image_id, root_id, rel, ino, size_bytes, mtime_ns, job_id, seen_at_ms)
SELECT :image_id, :root_id, :rel, :ino, :size_bytes, :mtime_ns, :job_id, :now_ms
WHERE EXISTS (SELECT 1 FROM images WHERE id = :image_id);
