SELECT d.webhook, d.state, d.attempts, d.tried_at_ms, d.reason, d.detail, e.type, e.body IS NULL AS unwritten,
  w.disabled_at_ms, coalesce(w.configured, 0) AS configured, max(d.next_attempt_at_ms, coalesce(w.ready_at_ms, 0)) AS next_at_ms
FROM webhook_events AS e JOIN deliveries AS d ON d.event_id = e.id LEFT JOIN webhooks AS w ON w.name = d.webhook
WHERE e.job_id = :job_id ORDER BY d.id;
