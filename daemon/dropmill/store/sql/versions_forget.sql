DELETE FROM versions WHERE root_id = :root_id AND rel = :rel AND kept = 1;
