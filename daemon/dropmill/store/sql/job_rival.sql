-- Another job in the queue for the very version.
SELECT id FROM jobs
WHERE root_id = :root_id AND rel = :rel AND dev = :dev AND ino = :ino AND size_bytes = :size_bytes
  AND mtime_ns = :mtime_ns AND ctime_ns = :ctime_ns AND state IN ('scheduled', 'available', 'executing') AND id <> :id;
