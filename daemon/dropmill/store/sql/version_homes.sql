-- Where else in this inbox the same bytes were left in place, and whether renditions of them stand.
SELECT v.rel, v.ino, v.size_bytes, v.mtime_ns, v.image_id, EXISTS (
  SELECT 1 FROM publications AS p
  WHERE p.image_id = v.image_id AND p.output_id = :output_id AND p.state IN ('owed', 'visible')
) AS standing
FROM versions AS v
WHERE v.sha256 = :sha256 AND v.root_id = :root_id AND v.rel <> :rel AND v.kept = 1
ORDER BY v.decided_at_ms, v.rel;
