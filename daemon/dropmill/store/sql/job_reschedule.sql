-- Trouble that only waiting can end, as with a full output, says nothing about the job: that attempt does not count.
UPDATE jobs SET state = 'scheduled', scheduled_at_ms = :scheduled_at_ms, reason = :reason, detail = :detail, owner = NULL,
  crashes = :crashes, alone = max(alone, :alone),
  attempts = attempts - :patient
WHERE id = :id AND epoch = :epoch AND state = 'executing';
