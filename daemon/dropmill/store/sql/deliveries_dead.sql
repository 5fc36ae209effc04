SELECT d.id, d.webhook, d.attempts, d.tried_at_ms, d.status, d.reason, d.detail, e.webhook_id, e.type, e.job_id, e.at_ms
FROM deliveries AS d JOIN webhook_events AS e ON e.id = d.event_id
WHERE d.webhook = :webhook AND d.state = 'dead' ORDER BY d.id DESC LIMIT :limit;
