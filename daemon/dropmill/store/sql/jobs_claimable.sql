SELECT id, rank_ms, alone FROM jobs WHERE state = 'available' AND inbox = :inbox ORDER BY rank_ms, id LIMIT :limit;
