SELECT robots, robots_at_ms FROM hosts WHERE origin = :origin;
