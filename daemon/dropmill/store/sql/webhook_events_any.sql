SELECT EXISTS (SELECT 1 FROM webhook_events);
