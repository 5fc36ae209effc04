UPDATE webhooks SET failures = 0, reason = '', detail = '', delivered = delivered + 1, delivered_at_ms = :now_ms
WHERE name = :name;
