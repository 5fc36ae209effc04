UPDATE webhooks SET disabled_at_ms = :now_ms, reason = :reason, detail = :detail
WHERE name = :name AND disabled_at_ms IS NULL;
