UPDATE jobs SET rank_ms = rank_ms + :by_ms
WHERE id BETWEEN :first_id AND :last_id AND state IN ('scheduled', 'available', 'executing');
