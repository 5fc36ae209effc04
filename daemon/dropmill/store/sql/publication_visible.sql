UPDATE publications SET state = 'visible', ino = :ino, ownership = :ownership, visible_at_ms = :now_ms, detail = ''
WHERE id = :id AND state = 'owed';
