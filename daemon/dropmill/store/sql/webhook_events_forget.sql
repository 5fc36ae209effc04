-- What nobody came for: of webhooks that are disabled or configured no more, and dead letters.
DELETE FROM webhook_events WHERE id IN (SELECT id FROM webhook_events WHERE at_ms < :before_ms ORDER BY at_ms LIMIT :limit);
