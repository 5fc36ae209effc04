UPDATE deeds SET state = 'skipped', detail = :detail, hint = '', done_at_ms = :now_ms
WHERE batch_id = :batch_id AND state = 'owed';
