-- An output that was full or failing says nothing about the job: that attempt does not count.
UPDATE jobs SET state = 'scheduled', scheduled_at_ms = :scheduled_at_ms, reason = :reason, detail = :detail, owner = NULL,
  crashes = :crashes, alone = max(alone, :alone),
  attempts = attempts - (:reason IN ('disk-full', 'output-unavailable'))
WHERE id = :id AND epoch = :epoch AND state = 'executing';
