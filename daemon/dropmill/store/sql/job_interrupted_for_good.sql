UPDATE jobs SET state = 'discarded', reason = 'interrupted', owner = NULL, interruptions = interruptions + 1,
  detail = :detail, finished_at_ms = :now_ms
WHERE id = :id AND epoch = :epoch AND state = 'executing';
