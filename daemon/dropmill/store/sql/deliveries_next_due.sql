SELECT min(next_attempt_at_ms) FROM deliveries WHERE webhook = :webhook AND state = 'owed' AND next_attempt_at_ms > :now_ms;
