UPDATE deliveries SET next_attempt_at_ms = :latest_ms WHERE state = 'owed' AND next_attempt_at_ms > :latest_ms;
