-- What is still to be done with an image or its files: nothing of that may lose what it leans on.
SELECT 'a rendition' AS what FROM publications WHERE image_id = :image_id AND state IN ('owed', 'retiring')
UNION ALL
SELECT 'an original' FROM jobs AS j JOIN disposals AS d ON d.job_id = j.id AND d.state = 'owed'
WHERE j.image_id = :image_id
UNION ALL
SELECT 'a duplicate of it' FROM disposals WHERE anchor_image_id = :image_id AND state = 'owed'
UNION ALL
SELECT 'a receipt' FROM jobs AS j JOIN notices AS n ON n.job_id = j.id AND n.state = 'owed'
WHERE j.image_id = :image_id
UNION ALL
SELECT 'a file of a batch' FROM batches AS b JOIN deeds AS d ON d.batch_id = b.id
WHERE b.state IN ('planning', 'doing', 'undoing') AND d.image_id = :image_id
LIMIT 1;
