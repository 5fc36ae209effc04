SELECT c.seq, c.image_id, i.phash, i.dhash
FROM hash_changes AS c LEFT JOIN images AS i ON i.id = c.image_id
WHERE c.seq > :after ORDER BY c.seq;
