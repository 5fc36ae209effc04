SELECT * FROM jobs WHERE root_id = :root_id AND rel = :rel ORDER BY id;
