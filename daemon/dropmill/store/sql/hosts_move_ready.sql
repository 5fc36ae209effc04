UPDATE hosts SET ready_at_ms = ready_at_ms + :by_ms, served_at_ms = served_at_ms + :by_ms, opened_at_ms = opened_at_ms + :by_ms
WHERE served_at_ms > 0;
