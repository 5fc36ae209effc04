-- Whether anything is due that was never tried, and of which all can be said by now.
SELECT EXISTS (
  SELECT 1 FROM deliveries AS d INDEXED BY deliveries_owed CROSS JOIN webhook_events AS e ON e.id = d.event_id
  LEFT JOIN jobs AS j ON j.id = e.job_id
  WHERE d.webhook = :webhook AND d.state = 'owed' AND d.next_attempt_at_ms <= :now_ms AND d.attempts = 0
    AND (e.body IS NOT NULL OR NOT EXISTS (
      SELECT 1 FROM publications AS p WHERE p.job_id IN (j.id, j.anchor_job_id) AND p.state = 'owed')));
