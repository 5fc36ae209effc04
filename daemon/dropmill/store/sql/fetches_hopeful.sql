-- Whether a URL of an inbox is being fetched, or can be by then, as far as its host and its own retry let.
SELECT EXISTS (
  SELECT 1 FROM jobs AS j INDEXED BY jobs_executing
  WHERE j.state = 'executing' AND j.phase = 'fetch' AND j.inbox IN (SELECT value FROM json_each(:inboxes))
) OR EXISTS (
  SELECT 1 FROM hosts AS h
  WHERE h.waiting > 0 AND h.served_at_ms <= :before_ms AND h.ready_at_ms <= :before_ms AND EXISTS (
    SELECT 1 FROM json_each(:inboxes) AS i CROSS JOIN jobs AS j
    WHERE j.host_id = h.id AND j.inbox = i.value AND j.state = 'available' AND j.phase = 'fetch'
  )
) OR EXISTS (
  SELECT 1 FROM jobs AS j CROSS JOIN hosts AS h ON h.id = j.host_id
  WHERE j.state = 'scheduled' AND j.scheduled_at_ms <= :before_ms AND j.phase = 'fetch' AND h.ready_at_ms <= :before_ms
    AND j.inbox IN (SELECT value FROM json_each(:inboxes))
    AND j.reason NOT IN (SELECT value FROM json_each(:patient))
) AS hopeful;
