SELECT min(enqueued_at_ms) FROM jobs WHERE state = 'available';
