SELECT w.seq, w.image_id, w.hashes FROM windows AS w JOIN images AS i ON i.id = w.image_id
WHERE w.seq > :after AND w.version = i.fingerprint_version ORDER BY w.seq;
