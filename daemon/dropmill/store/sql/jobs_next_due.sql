SELECT min(scheduled_at_ms) FROM jobs WHERE state = 'scheduled';
