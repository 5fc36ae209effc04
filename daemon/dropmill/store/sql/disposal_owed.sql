-- A deletion that is held back for good, as the view disposals_free has it, owes nothing to an original with a private name.
SELECT d.id FROM disposals AS d
WHERE d.job_id = :job_id AND d.state = 'owed' AND NOT (d.disposition = 'delete' AND EXISTS (
  SELECT 1 FROM publications AS p LEFT JOIN publications AS n ON n.job_id = p.retired_by
  WHERE p.job_id = d.job_id AND (p.state = 'failed' OR (p.state = 'retiring' AND n.state = 'failed'))));
