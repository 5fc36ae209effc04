-- Due jobs in small lots, so that a hundred thousand of them do not hold the writer.
UPDATE jobs SET state = 'available', scheduled_at_ms = NULL
WHERE id IN (SELECT id FROM jobs WHERE state = 'scheduled' AND scheduled_at_ms <= :now_ms ORDER BY scheduled_at_ms LIMIT :limit);
