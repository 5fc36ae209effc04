UPDATE jobs SET state = 'available', phase = 'fetch', owner = NULL, attempts = attempts - 1,
  dev = 0, ino = 0, size_bytes = 0, mtime_ns = 0, ctime_ns = 0
WHERE id = :id AND epoch = :epoch AND state = 'executing';
