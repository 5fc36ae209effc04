SELECT webhook, type, at_ms, attempts FROM tellings WHERE job_id = :job_id ORDER BY at_ms, webhook;
