UPDATE versions SET kept = 1, ino = :ino, mtime_ns = :mtime_ns
WHERE root_id = :root_id AND rel = :rel AND sha256 = :sha256;
