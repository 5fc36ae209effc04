UPDATE holdings SET ino = :ino, size_bytes = :size_bytes, mtime_ns = :mtime_ns, seen_at_ms = :now_ms WHERE id = :id;
