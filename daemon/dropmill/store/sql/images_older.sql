-- Whose hashes were taken by another recipe than ours; of each recipe there is a second number for streamed pictures. And,
-- where that is asked for, those without hashes of their parts that can be read.
SELECT id, sha256 FROM images
WHERE id > :after AND (
  fingerprint_version NOT IN (:version, :streamed) OR (:windows AND NOT EXISTS (
    SELECT 1 FROM windows AS w WHERE w.image_id = images.id AND w.version = images.fingerprint_version
  ) AND EXISTS (SELECT 1 FROM holdings AS h WHERE h.image_id = images.id))
)
ORDER BY id LIMIT :limit;
