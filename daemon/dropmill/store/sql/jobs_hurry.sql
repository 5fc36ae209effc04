UPDATE jobs SET scheduled_at_ms = :now_ms
WHERE state = 'scheduled' AND scheduled_at_ms > :now_ms AND reason IN ('disk-full', 'output-unavailable')
  AND inbox IN (SELECT value FROM json_each(:inboxes));
