SELECT w.image_id, w.hashes FROM windows AS w JOIN images AS i ON i.id = w.image_id
WHERE w.image_id IN (SELECT value FROM json_each(:ids)) AND w.version = i.fingerprint_version;
