SELECT min(served_at_ms) FROM hosts WHERE waiting > 0 AND served_at_ms > :now_ms;
