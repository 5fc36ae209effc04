SELECT name, path, line, offset_bytes FROM dropfiles WHERE name IN (SELECT value FROM json_each(:names));
