-- Whether an inbox has active jobs other than those that only wait for their surroundings to change, or for a host.
SELECT EXISTS (
  SELECT 1 FROM jobs
  WHERE inbox IN (SELECT value FROM json_each(:inboxes)) AND state = 'available' AND phase = 'process'
) OR EXISTS (
  SELECT 1 FROM jobs
  WHERE inbox IN (SELECT value FROM json_each(:inboxes)) AND state = 'executing' AND phase = 'process'
) OR EXISTS (
  SELECT 1 FROM jobs
  WHERE inbox IN (SELECT value FROM json_each(:inboxes)) AND state = 'scheduled' AND phase = 'process'
    AND reason NOT IN (SELECT value FROM json_each(:patient))
) AS hopeful;
