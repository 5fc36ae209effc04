SELECT sha256 FROM images WHERE sha256 IN (SELECT value FROM json_each(:sha256s));
