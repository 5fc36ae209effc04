-- Whether an inbox has active jobs other than those that only wait for their surroundings to change.
SELECT EXISTS (
  SELECT 1 FROM jobs
  WHERE inbox IN (SELECT value FROM json_each(:inboxes)) AND state IN ('available', 'executing')
) OR EXISTS (
  SELECT 1 FROM jobs
  WHERE inbox IN (SELECT value FROM json_each(:inboxes)) AND state = 'scheduled'
    AND reason NOT IN (SELECT value FROM json_each(:patient))
) AS hopeful;
