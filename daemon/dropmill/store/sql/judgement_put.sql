INSERT INTO judgements (sha256_a, sha256_b, kind, batch_id, decided_at_ms)
VALUES (:sha256_a, :sha256_b, :kind, :batch_id, :now_ms)
ON CONFLICT DO UPDATE SET batch_id = excluded.batch_id, decided_at_ms = excluded.decided_at_ms;
