SELECT * FROM versions WHERE root_id = :root_id AND rel = :rel ORDER BY decided_at_ms;
