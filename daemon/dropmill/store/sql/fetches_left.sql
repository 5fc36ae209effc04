-- URLs that wait for their host or their next attempt, how many hosts that are, and when the first of them may be asked.
SELECT count(*) AS urls, count(DISTINCT j.host_id) AS hosts,
  min(max(h.ready_at_ms, coalesce(j.scheduled_at_ms, 0))) AS first_ms
FROM jobs AS j CROSS JOIN hosts AS h ON h.id = j.host_id
WHERE j.host_id > 0 AND j.phase = 'fetch' AND j.state IN ('scheduled', 'available', 'executing') AND j.state <> 'executing'
  AND j.inbox IN (SELECT value FROM json_each(:inboxes));
