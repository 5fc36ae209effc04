-- Gone before it became visible, and rendered again under a name of its own.
UPDATE publications SET state = 'retired', detail = :detail WHERE id = :id AND state = 'owed';
