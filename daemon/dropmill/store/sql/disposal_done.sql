UPDATE disposals SET state = 'done', result = :result, done_at_ms = :now_ms, target_name = :target_name, detail = ''
WHERE id = :id AND state = 'owed';
