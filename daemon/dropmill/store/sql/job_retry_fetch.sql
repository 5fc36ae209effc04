UPDATE OR IGNORE jobs SET state = 'available', phase = 'fetch', reason = NULL, detail = '', finished_at_ms = NULL, crashes = 0,
  interruptions = 0, attempts = 0, alone = 0, dev = 0, ino = 0, size_bytes = 0, mtime_ns = 0, ctime_ns = 0,
  rank_ms = :rank_ms, enqueued_at_ms = :now_ms, read_root_id = NULL, read_rel = NULL
WHERE id = :id AND state = 'discarded';
