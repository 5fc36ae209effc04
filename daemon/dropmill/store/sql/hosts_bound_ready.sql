-- A time further ahead was written when the clock was wrong.
UPDATE hosts SET ready_at_ms = min(ready_at_ms, :latest_ms), served_at_ms = min(served_at_ms, :latest_ms)
WHERE ready_at_ms > :latest_ms OR served_at_ms > :latest_ms;
