UPDATE publications SET next_attempt_at_ms = :latest_ms WHERE state IN ('owed', 'retiring') AND next_attempt_at_ms > :latest_ms;
