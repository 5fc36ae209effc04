INSERT INTO roots (kind, name, path) VALUES (:kind, :name, :path)
ON CONFLICT (kind, name) DO UPDATE SET path = excluded.path
RETURNING id;
