SELECT * FROM jobs
WHERE (:state IS NULL OR state = :state) AND (:inbox IS NULL OR inbox = :inbox) AND id < :before
ORDER BY id DESC LIMIT :limit;
