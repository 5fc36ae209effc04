UPDATE disposals SET target_name = :target_name WHERE id = :id AND state = 'owed';
