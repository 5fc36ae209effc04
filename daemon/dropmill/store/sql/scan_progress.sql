UPDATE scans SET files = :files, total_files = :total_files, unchanged = :unchanged, indexed = :indexed,
  ignored = :ignored, refused = :refused, vanished = :vanished, read_bytes = :read_bytes, total_bytes = :total_bytes,
  told = :told
WHERE id = :id;
