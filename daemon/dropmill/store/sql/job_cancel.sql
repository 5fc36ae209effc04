UPDATE jobs SET state = 'cancelled', owner = NULL, finished_at_ms = :now_ms, scheduled_at_ms = NULL, detail = 'cancelled by a person'
WHERE id = :id AND state IN ('scheduled', 'available', 'executing');
