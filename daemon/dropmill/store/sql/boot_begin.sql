INSERT INTO boots (id, pid, version, started_at_ms) VALUES (:id, :pid, :version, :now_ms);
