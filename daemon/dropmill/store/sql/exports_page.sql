-- Ids of jobs, oldest first, of an inbox and a state or of all.
SELECT id FROM jobs
WHERE id > :after AND id <= :newest AND (:inbox IS NULL OR inbox = :inbox) AND (:state IS NULL OR state = :state)
ORDER BY id LIMIT :limit;
