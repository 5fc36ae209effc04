SELECT * FROM sources WHERE root_id = :root_id AND rel = :rel;
