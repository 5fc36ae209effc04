UPDATE jobs SET state = 'discarded', reason = :reason, detail = :detail, owner = NULL, finished_at_ms = :now_ms, crashes = :crashes
WHERE id = :id AND epoch = :epoch AND state = 'executing';
