UPDATE disposals SET next_attempt_at_ms = :now_ms
WHERE state = 'owed' AND next_attempt_at_ms > :now_ms
  AND (SELECT j.inbox FROM jobs AS j WHERE j.id = disposals.job_id) IN (SELECT value FROM json_each(:inboxes));
