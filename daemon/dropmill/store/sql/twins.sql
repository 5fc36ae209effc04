-- Images of the same bytes or the same coded image that have standing renditions within the scope, identical bytes first.
SELECT i.id, i.sha256, i.sha256 = :sha256 AS same_bytes, min(p.job_id) AS job_id
FROM images AS i
JOIN publications AS p ON p.image_id = i.id AND p.state IN ('owed', 'visible')
WHERE (i.sha256 = :sha256 OR i.coded_sha256 = :coded_sha256)
  AND CASE :scope
    WHEN 'output' THEN p.output_id = :output_id AND p.recipe = :recipe
    WHEN 'inbox' THEN EXISTS (SELECT 1 FROM versions AS v WHERE v.image_id = i.id AND v.root_id = :root_id)
    ELSE 1
  END
GROUP BY i.id
ORDER BY same_bytes DESC, i.id;
