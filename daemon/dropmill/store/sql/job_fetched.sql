UPDATE jobs SET state = 'available', phase = 'process', owner = NULL, attempts = 0, reason = NULL, detail = '',
  dev = :dev, ino = :ino, size_bytes = :size_bytes, mtime_ns = :mtime_ns, ctime_ns = :ctime_ns
WHERE id = :id AND epoch = :epoch AND state = 'executing' AND phase = 'fetch';
