UPDATE hosts SET robots = :text, robots_at_ms = :now_ms WHERE origin = :origin;
