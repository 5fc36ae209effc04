-- Renditions to move into place, job by job, oldest first, with the inode of the one each may replace.
SELECT p.*, j.inbox, r.path AS output_path, o.ino AS replaces_ino, o.sha256 AS replaces_sha256
FROM publications AS p
JOIN roots AS r ON r.id = p.output_id
LEFT JOIN jobs AS j ON j.id = p.job_id
LEFT JOIN publications AS o ON o.id = p.replaces AND o.ownership = 'owned'
WHERE p.state = 'owed' AND p.next_attempt_at_ms <= :now_ms AND p.output_id IN (SELECT value FROM json_each(:outputs))
ORDER BY p.job_id, p.id LIMIT :limit;
