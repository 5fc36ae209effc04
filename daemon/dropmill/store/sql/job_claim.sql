UPDATE jobs SET state = 'executing', epoch = epoch + 1, attempts = attempts + 1, owner = :owner, started_at_ms = :now_ms
WHERE id = :id AND state = 'available'
RETURNING *;
