-- ended_at_ms: NULL while it goes on.
UPDATE batches SET state = :state, ended_at_ms = :ended_at_ms
WHERE id = :id AND state IN (SELECT value FROM json_each(:from_states));
