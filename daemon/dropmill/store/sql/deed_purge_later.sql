UPDATE deeds SET purge_at_ms = :purge_at_ms, detail = :detail WHERE id = :id;
