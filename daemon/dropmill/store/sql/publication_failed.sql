UPDATE publications SET state = 'failed', detail = :detail WHERE id = :id AND state = 'owed';
