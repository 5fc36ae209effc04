INSERT INTO batches (action, state, permanent, groups, created_at_ms)
VALUES (:action, :state, :permanent, :groups, :now_ms) RETURNING id;
