SELECT id, rank_ms FROM jobs
WHERE host_id = :host_id AND inbox = :inbox AND state = 'available' AND phase = 'fetch'
ORDER BY rank_ms, id LIMIT :limit;
