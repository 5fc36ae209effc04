UPDATE lines SET told = 1 WHERE id IN (SELECT value FROM json_each(:ids)) AND ended = 1;
