SELECT id, texture FROM images WHERE id IN (SELECT value FROM json_each(:ids));
