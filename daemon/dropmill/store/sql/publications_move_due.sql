UPDATE publications SET next_attempt_at_ms = next_attempt_at_ms + :by_ms WHERE state IN ('owed', 'retiring') AND next_attempt_at_ms > 0;
