UPDATE publications SET state = 'retired' WHERE id = :id AND state = 'retiring';
