UPDATE hosts SET served_at_ms = :now_ms WHERE id = :id;
