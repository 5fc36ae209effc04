-- The job whose renditions of an image stand, in this inbox if there is one.
SELECT p.job_id FROM publications AS p JOIN jobs AS j ON j.id = p.job_id
WHERE p.image_id = :image_id AND p.state IN ('owed', 'visible', 'failed')
ORDER BY j.inbox = :inbox DESC, p.job_id DESC LIMIT 1;
