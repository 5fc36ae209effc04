UPDATE jobs SET state = 'available', owner = NULL, interruptions = interruptions + 1, alone = 1
WHERE id = :id AND epoch = :epoch AND state = 'executing';
