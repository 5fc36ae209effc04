INSERT INTO jobs (
  root_id, inbox, rel, dev, ino, size_bytes, mtime_ns, ctime_ns, state, priority, rank_ms, label, found_by,
  found_at_ms, settled_at_ms, enqueued_at_ms, reprocess_of, read_root_id, read_rel, phase, host_id
) VALUES (
  :root_id, :inbox, :rel, :dev, :ino, :size_bytes, :mtime_ns, :ctime_ns, 'available', :priority, :rank_ms, :label,
  :found_by, :found_at_ms, :settled_at_ms, :now_ms, :reprocess_of, :read_root_id, :read_rel,
  :phase, :host_id
)
ON CONFLICT DO NOTHING
RETURNING id;
