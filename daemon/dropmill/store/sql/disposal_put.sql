INSERT INTO disposals (
  job_id, root_id, rel, dev, ino, size_bytes, mtime_ns, ctime_ns, sha256, disposition, anchor_image_id, target_root_id,
  target_name, state, detail
) VALUES (
  :job_id, :root_id, :rel, :dev, :ino, :size_bytes, :mtime_ns, :ctime_ns, :sha256, :disposition, :anchor_image_id,
  :target_root_id, :target_name, 'owed', :detail
);
