INSERT INTO scans (folders, rehash, workers, by, state, started_at_ms)
VALUES (:folders, :rehash, :workers, :by, 'running', :now_ms)
RETURNING id;
