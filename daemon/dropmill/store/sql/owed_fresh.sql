-- Whether anything owed to the configured folders could be done now and has not been tried yet; what is due, as the
-- statements *_due.sql and publications_retiring.sql and the view disposals_free have it.
SELECT EXISTS (
  SELECT 1 FROM publications AS p
  WHERE p.state = 'owed' AND p.attempts = 0 AND p.output_id IN (SELECT value FROM json_each(:outputs))
) OR EXISTS (
  SELECT 1 FROM publications AS p
  WHERE p.state = 'retiring' AND p.attempts = 0 AND p.output_id IN (SELECT value FROM json_each(:outputs))
    AND NOT EXISTS (SELECT 1 FROM publications AS n WHERE n.job_id = p.retired_by AND n.state IN ('owed', 'failed'))
    AND NOT EXISTS (
      SELECT 1 FROM jobs AS j
      WHERE j.id = p.retired_by AND (j.state <> 'completed' OR j.outcome = 'superseded'))
) OR EXISTS (
  SELECT 1 FROM disposals_free AS d CROSS JOIN jobs AS j ON j.id = d.job_id
  WHERE d.attempts = 0 AND j.inbox IN (SELECT value FROM json_each(:inboxes))
) OR EXISTS (
  SELECT 1 FROM notices AS n CROSS JOIN jobs AS j ON j.id = n.job_id
  WHERE n.state = 'owed' AND n.attempts = 0 AND j.inbox IN (SELECT value FROM json_each(:inboxes))
    AND NOT EXISTS (SELECT 1 FROM publications AS p WHERE p.job_id = n.job_id AND p.state = 'owed')
) AS fresh;
