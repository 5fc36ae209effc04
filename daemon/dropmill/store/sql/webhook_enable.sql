UPDATE webhooks SET disabled_at_ms = NULL, failures = 0, ready_at_ms = 0, reason = '', detail = '' WHERE name = :name;
