DELETE FROM refusals WHERE root_id = :root_id AND rel = :rel;
