-- Of a pair both are among the images.
SELECT sha256_a, sha256_b, kind, decided_at_ms FROM judgements
WHERE sha256_a IN (SELECT sha256 FROM images WHERE id IN (SELECT value FROM json_each(:ids)));
