UPDATE jobs SET scheduled_at_ms = scheduled_at_ms + :by_ms WHERE state = 'scheduled';
