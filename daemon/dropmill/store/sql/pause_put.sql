INSERT INTO pauses (inbox, since_ms) VALUES (:inbox, :now_ms) ON CONFLICT DO NOTHING;
