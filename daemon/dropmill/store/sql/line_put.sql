INSERT INTO lines (
  dropfile, generation, offset_bytes, line, url, label, taken_at_ms, job_id, made, reason, detail, ended
) VALUES (
  :dropfile, :generation, :offset_bytes, :line, :url, :label, :now_ms, :job_id, :made, :reason, :detail, :ended
);
