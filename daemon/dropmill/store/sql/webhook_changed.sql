-- Another configuration may well be the remedy, so nothing is held against it.
UPDATE webhooks SET configuration = :configuration, failures = 0, ready_at_ms = 0, disabled_at_ms = NULL, reason = '', detail = ''
WHERE name = :name AND configuration <> :configuration RETURNING name;
