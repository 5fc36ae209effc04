INSERT INTO candidates (a, b) VALUES (:a, :b) ON CONFLICT DO NOTHING;
