UPDATE deliveries SET next_attempt_at_ms = next_attempt_at_ms + :by_ms WHERE state = 'owed';
