SELECT * FROM groups WHERE id IN (SELECT value FROM json_each(:ids));
