INSERT INTO dropfiles (
  name, path, dev, ino, offset_bytes, line, midline, head_bytes, head_sha256, tail_sha256, generation, seen_at_ms
) VALUES (
  :name, :path, :dev, :ino, :offset_bytes, :line, :midline, :head_bytes, :head_sha256, :tail_sha256, :generation, :now_ms
)
ON CONFLICT (name) DO UPDATE SET
  path = excluded.path, dev = excluded.dev, ino = excluded.ino, offset_bytes = excluded.offset_bytes,
  line = excluded.line, midline = excluded.midline, head_bytes = excluded.head_bytes,
  head_sha256 = excluded.head_sha256, tail_sha256 = excluded.tail_sha256, generation = excluded.generation,
  seen_at_ms = excluded.seen_at_ms;
