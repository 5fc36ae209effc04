-- Of a texture that is believed now, and was not before. Once, where a person changes that.
INSERT INTO uncompared SELECT id FROM images WHERE texture >= :from_texture AND texture < :to_texture
ON CONFLICT DO NOTHING;
