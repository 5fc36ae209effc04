-- A job may have been forgotten before it could be told of.
INSERT OR REPLACE INTO tellings (job_id, webhook, type, at_ms, attempts)
SELECT id, :webhook, :type, :now_ms, :attempts FROM jobs WHERE id = :job_id;
