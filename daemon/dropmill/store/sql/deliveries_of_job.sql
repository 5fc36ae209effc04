SELECT d.webhook, d.state, d.attempts, d.next_attempt_at_ms, d.detail, e.type
FROM webhook_events AS e JOIN deliveries AS d ON d.event_id = e.id WHERE e.job_id = :job_id ORDER BY d.id;
