SELECT d.id, d.attempts, e.webhook_id, e.type, e.job_id, e.body
FROM deliveries AS d INDEXED BY deliveries_owed CROSS JOIN webhook_events AS e ON e.id = d.event_id
WHERE d.webhook = :webhook AND d.state = 'owed' AND d.next_attempt_at_ms <= :now_ms AND e.body IS NOT NULL
ORDER BY d.next_attempt_at_ms, d.id LIMIT :limit;
