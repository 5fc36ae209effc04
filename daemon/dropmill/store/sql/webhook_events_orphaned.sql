-- Of a job that was forgotten before anything could be said of it.
DELETE FROM webhook_events
WHERE body IS NULL AND NOT EXISTS (SELECT 1 FROM jobs AS j WHERE j.id = webhook_events.job_id);
