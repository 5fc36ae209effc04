UPDATE deliveries SET state = 'owed', attempts = 0, next_attempt_at_ms = :now_ms
WHERE webhook = :webhook AND state = 'dead';
