-- Whose hashes were taken by another recipe than ours; of each recipe there is a second number for streamed pictures.
SELECT id, sha256 FROM images
WHERE id > :after AND fingerprint_version NOT IN (:version, :streamed)
ORDER BY id LIMIT :limit;
