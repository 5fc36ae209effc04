UPDATE disposals SET next_attempt_at_ms = next_attempt_at_ms + :by_ms WHERE state = 'owed' AND next_attempt_at_ms > 0;
