DELETE FROM uncompared WHERE image_id IN (SELECT value FROM json_each(:ids));
