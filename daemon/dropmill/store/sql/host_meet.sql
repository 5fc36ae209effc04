-- The host that an origin is, made known where it is not.
INSERT INTO hosts (origin) VALUES (:origin) ON CONFLICT (origin) DO UPDATE SET origin = excluded.origin RETURNING id;
