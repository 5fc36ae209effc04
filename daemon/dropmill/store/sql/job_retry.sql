UPDATE OR IGNORE jobs SET state = 'available', reason = NULL, detail = '', finished_at_ms = NULL, crashes = 0, interruptions = 0,
  attempts = 0, alone = 0, dev = :dev, ino = :ino, size_bytes = :size_bytes, mtime_ns = :mtime_ns, ctime_ns = :ctime_ns,
  rank_ms = :rank_ms, enqueued_at_ms = :now_ms
WHERE id = :id AND state = 'discarded';
