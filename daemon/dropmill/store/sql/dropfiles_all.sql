SELECT name, path, line, offset_bytes FROM dropfiles;
