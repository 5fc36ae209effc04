-- What we did changed no byte of it, so a scan need not read it again.
UPDATE sources SET dev = :dev, ino = :ino, ctime_ns = :ctime_ns, mtime_ns = :mtime_ns
WHERE root_id = :root_id AND rel = :rel AND size_bytes = :size_bytes AND verdict = 'job';
