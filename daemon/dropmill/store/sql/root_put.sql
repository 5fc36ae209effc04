-- Another path is another directory, of which nothing is remembered; what was seen before is not missing from it.
INSERT INTO roots (kind, name, path) VALUES (:kind, :name, :path)
ON CONFLICT (kind, name) DO UPDATE SET path = excluded.path,
  identity = CASE WHEN path = excluded.path OR identity = '' THEN identity ELSE 'elsewhere' END
RETURNING id;
