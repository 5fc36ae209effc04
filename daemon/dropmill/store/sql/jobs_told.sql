-- Jobs as people are told of them: with where their original was taken, and what has come of their path since.
SELECT j.*, u.canonical AS url, u.directory, u.final_url, u.chain, u.address, u.status, u.etag, u.last_modified,
  u.content_type, u.http_version, u.size_bytes AS fetched_bytes, u.started_at_ms AS fetch_started_at_ms,
  u.ended_at_ms AS fetched_at_ms, h.origin AS host, h.ready_at_ms AS host_ready_at_ms, h.detail AS host_detail,
  (
    SELECT 'line ' || l.line || ' of ' || l.dropfile FROM lines AS l WHERE l.job_id = j.id ORDER BY l.id LIMIT 1
  ) AS asked_by,
  r.path AS root_path, s.path AS read_path,
  d.disposition, d.state AS disposal_state, d.result AS disposal_result, d.detail AS disposal_detail,
  d.attempts AS disposal_attempts, d.done_at_ms AS disposed_at_ms, d.target_name, t.path AS target_path,
  EXISTS (
    SELECT 1 FROM versions AS v WHERE v.root_id = j.root_id AND v.rel = j.rel AND v.sha256 = j.sha256
  ) AS catalogued,
  EXISTS (
    SELECT 1 FROM jobs AS n
    WHERE n.root_id = j.root_id AND n.rel = j.rel AND n.id > j.id AND n.read_root_id IS NULL AND n.sha256 <> j.sha256
  ) AS overwritten,
  (
    SELECT n.rel FROM jobs AS n
    WHERE n.image_id = j.image_id AND n.root_id = j.root_id AND n.id > j.id AND n.outcome = 'moved'
    ORDER BY n.id DESC LIMIT 1
  ) AS moved_to
FROM json_each(:ids) AS wanted
JOIN jobs AS j ON j.id = wanted.value
JOIN roots AS r ON r.id = j.root_id
LEFT JOIN downloads AS u ON u.job_id = j.id
LEFT JOIN hosts AS h ON h.id = j.host_id
LEFT JOIN roots AS s ON s.id = j.read_root_id
LEFT JOIN disposals AS d ON d.id = (SELECT max(l.id) FROM disposals AS l WHERE l.job_id = j.id)
LEFT JOIN roots AS t ON t.id = d.target_root_id
ORDER BY j.id DESC;
