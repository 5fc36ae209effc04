UPDATE jobs SET scheduled_at_ms = :latest_ms
WHERE state = 'scheduled' AND scheduled_at_ms > :latest_ms AND phase = :phase;
