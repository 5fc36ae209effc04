SELECT id, sha256, coded_sha256, phash, dhash, ahash, phash256, texture, width, height, fingerprint_version
FROM images WHERE id IN (SELECT value FROM json_each(:ids));
