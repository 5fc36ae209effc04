UPDATE groups SET state = 'settled', changed_at_ms = :now_ms WHERE id = :id;
