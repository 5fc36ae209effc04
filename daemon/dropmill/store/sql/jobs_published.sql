-- The jobs of an inbox whose renditions stand, one for each image they show.
SELECT DISTINCT j.id FROM jobs AS j
JOIN publications AS p ON p.job_id = j.id AND p.state IN ('owed', 'visible', 'failed')
WHERE j.inbox = :inbox AND j.state = 'completed' AND j.outcome = 'published' ORDER BY j.id;
