-- Of our own recipe, but without hashes of their parts, and not without a file.
SELECT count(*) FROM images AS i WHERE fingerprint_version IN (:version, :streamed)
  AND NOT EXISTS (SELECT 1 FROM windows AS w WHERE w.image_id = i.id AND w.version = i.fingerprint_version)
  AND EXISTS (SELECT 1 FROM holdings AS h WHERE h.image_id = i.id);
