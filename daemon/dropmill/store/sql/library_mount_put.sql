INSERT INTO library_mounts (root_id, rel) VALUES (:root_id, :rel) ON CONFLICT DO NOTHING;
