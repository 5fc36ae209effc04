-- Old renditions whose successors, if any, are visible; succeeded: another one has the name, so nothing is to be removed.
SELECT p.*, r.path AS output_path, EXISTS (
  SELECT 1 FROM publications AS s
  WHERE s.output_id = p.output_id AND s.final_key = p.final_key AND s.state IN ('owed', 'visible')
) AS succeeded
FROM publications AS p JOIN roots AS r ON r.id = p.output_id
WHERE p.state = 'retiring' AND p.next_attempt_at_ms <= :now_ms
  AND p.output_id IN (SELECT value FROM json_each(:outputs))
  AND NOT EXISTS (SELECT 1 FROM publications AS n WHERE n.job_id = p.retired_by AND n.state IN ('owed', 'failed'))
  AND NOT EXISTS (
    SELECT 1 FROM jobs AS j
    WHERE j.id = p.retired_by AND (j.state <> 'completed' OR j.outcome = 'superseded'))
ORDER BY p.id LIMIT :limit;
