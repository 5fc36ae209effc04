UPDATE webhooks SET ready_at_ms = :latest_ms WHERE ready_at_ms > :latest_ms;
