-- A page of the lines whose job has ended and that have not been told. owing: renditions are still on their way, of the
-- job or, where it published nothing itself, of the picture that answers for it.
SELECT l.id, l.line, l.url, l.label, l.taken_at_ms, l.reason AS refused, l.detail AS refused_detail,
  j.id AS job_id, j.state, j.outcome, j.reason, j.detail, j.sha256, j.image_id, j.finished_at_ms, j.resemblance,
  EXISTS (SELECT 1 FROM publications AS p WHERE p.job_id = j.id AND p.state = 'owed')
  OR EXISTS (
    SELECT 1 FROM publications AS p
    WHERE p.image_id = j.image_id AND p.output_id = :output_id AND p.state = 'owed'
  ) AS owing,
  EXISTS (
    SELECT 1 FROM publications AS p WHERE p.job_id = j.id AND p.state = 'failed' AND p.visible_at_ms IS NULL
  ) AS failed
FROM lines AS l LEFT JOIN jobs AS j ON j.id = l.job_id
WHERE l.dropfile = :dropfile AND l.ended = 1 AND l.told = 0 AND l.id > :after
ORDER BY l.id LIMIT :limit;
