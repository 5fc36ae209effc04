-- Hosts, besides known ones, that may be asked now and have something to be asked for, those that were served longest ago first. A host at
-- rest has its place in the line where its rest ends, so that none is visited in vain.
SELECT h.id, h.origin, h.ready_at_ms, h.failures, h.opened_at_ms, h.probes, h.detail FROM hosts AS h
WHERE h.waiting > 0 AND h.served_at_ms <= :now_ms AND h.ready_at_ms <= :now_ms AND (h.failures > 0) = :failing
  AND h.id NOT IN (SELECT value FROM json_each(:known))
  AND EXISTS (
    SELECT 1 FROM json_each(:inboxes) AS i CROSS JOIN jobs AS j
    WHERE j.host_id = h.id AND j.inbox = i.value AND j.state = 'available' AND j.phase = 'fetch'
  )
ORDER BY h.served_at_ms LIMIT :limit;
