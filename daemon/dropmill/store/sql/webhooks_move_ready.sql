UPDATE webhooks SET ready_at_ms = ready_at_ms + :by_ms WHERE ready_at_ms > 0;
