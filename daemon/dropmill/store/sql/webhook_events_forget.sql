-- What nobody came for: dead letters that were tried last before then, and what is owed to webhooks that are configured no
-- more or were disabled before then. An event goes with the last of its deliveries. What is owed to the others is never
-- forgotten for its age: it arrives, or becomes a dead letter.
DELETE FROM deliveries WHERE id IN (
  SELECT d.id
  FROM webhook_events AS e INDEXED BY webhook_events_by_time
  CROSS JOIN deliveries AS d INDEXED BY deliveries_by_event ON d.event_id = e.id
  LEFT JOIN webhooks AS w ON w.name = d.webhook
  WHERE e.at_ms < :before_ms AND CASE d.state
    WHEN 'dead' THEN coalesce(d.tried_at_ms, 0) < :before_ms
    ELSE coalesce(w.configured, 0) = 0 OR w.disabled_at_ms < :before_ms END
  ORDER BY e.at_ms LIMIT :limit)
RETURNING webhook;
