-- Interruptions have a cap of their own (PROTOCOL 14): the attempt does not count.
UPDATE jobs SET state = 'available', owner = NULL, interruptions = interruptions + 1, attempts = attempts - 1, alone = 1
WHERE id = :id AND epoch = :epoch AND state = 'executing';
