DELETE FROM versions WHERE root_id = :root_id AND rel = :rel AND sha256 = :sha256;
