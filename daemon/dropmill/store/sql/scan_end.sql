UPDATE scans SET state = :state, detail = :detail, ended_at_ms = :now_ms WHERE id = :id AND state = 'running';
