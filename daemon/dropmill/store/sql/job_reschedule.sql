UPDATE jobs SET state = 'scheduled', scheduled_at_ms = :scheduled_at_ms, reason = :reason, detail = :detail, owner = NULL,
  crashes = :crashes, alone = max(alone, :alone)
WHERE id = :id AND epoch = :epoch AND state = 'executing';
