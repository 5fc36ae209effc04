-- What a host that is given up was to be asked for, in lots.
UPDATE jobs SET state = 'discarded', reason = 'host-unavailable', detail = :detail, scheduled_at_ms = NULL,
  finished_at_ms = :now_ms
WHERE id IN (
  SELECT id FROM jobs
  WHERE host_id = :host_id AND phase = 'fetch' AND state IN ('scheduled', 'available', 'executing')
    AND state <> 'executing'
  LIMIT :limit
)
RETURNING id, inbox, (SELECT d.canonical FROM downloads AS d WHERE d.job_id = jobs.id) AS canonical;
