-- How many downloads wait to be processed, counted up to :most.
SELECT count(*) FROM (
  SELECT 1 FROM jobs
  WHERE state = 'available' AND phase = 'process' AND inbox IN (SELECT value FROM json_each(:inboxes)) LIMIT :most
);
