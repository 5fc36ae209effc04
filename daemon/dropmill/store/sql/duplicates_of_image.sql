-- Duplicates that lean on an image and whose originals are still where they were found.
SELECT j.id FROM jobs AS j
WHERE j.image_id = :image_id AND j.state = 'completed' AND j.outcome = 'duplicate'
  AND NOT EXISTS (SELECT 1 FROM disposals AS d WHERE d.job_id = j.id AND d.state = 'done');
