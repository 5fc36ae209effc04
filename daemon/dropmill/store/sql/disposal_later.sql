UPDATE disposals SET attempts = attempts + 1, next_attempt_at_ms = :next_attempt_at_ms, detail = :detail
WHERE id = :id AND state = 'owed';
