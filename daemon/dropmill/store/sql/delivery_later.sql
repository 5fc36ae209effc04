UPDATE deliveries SET attempts = :attempts, next_attempt_at_ms = :next_attempt_at_ms, tried_at_ms = :now_ms,
  status = :status, reason = :reason, detail = :detail, state = :state
WHERE id = :id;
