UPDATE webhooks SET failures = :failures, ready_at_ms = max(ready_at_ms, :ready_at_ms), reason = :reason, detail = :detail
WHERE name = :name;
