-- Given back unharmed: the attempt does not count.
UPDATE jobs SET state = 'available', owner = NULL, attempts = attempts - 1
WHERE id = :id AND epoch = :epoch AND state = 'executing';
