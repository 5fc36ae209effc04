INSERT INTO sources (root_id, rel, dev, ino, size_bytes, mtime_ns, ctime_ns, verdict, reason, detail, job_id, seen_at_ms)
VALUES (:root_id, :rel, :dev, :ino, :size_bytes, :mtime_ns, :ctime_ns, :verdict, :reason, :detail, :job_id, :now_ms)
ON CONFLICT (root_id, rel) DO UPDATE SET
  dev = excluded.dev, ino = excluded.ino, size_bytes = excluded.size_bytes,
  mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns,
  verdict = excluded.verdict, reason = excluded.reason, detail = excluded.detail,
  job_id = excluded.job_id, seen_at_ms = excluded.seen_at_ms, missing_scans = 0;
