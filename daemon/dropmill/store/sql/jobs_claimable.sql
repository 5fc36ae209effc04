SELECT id, rank_ms, alone FROM jobs
WHERE state = 'available' AND phase = 'process' AND inbox = :inbox ORDER BY rank_ms, id LIMIT :limit;
