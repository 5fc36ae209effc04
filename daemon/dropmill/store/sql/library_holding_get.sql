SELECT * FROM holdings WHERE root_id = :root_id AND rel = :rel;
