SELECT * FROM boots ORDER BY started_at_ms DESC, rowid DESC LIMIT 1;
