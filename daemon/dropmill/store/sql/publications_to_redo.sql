-- Renditions of an image that a path, or the job that is done over, has put into an output or failed to.
SELECT p.* FROM publications AS p
WHERE p.state IN ('owed', 'visible', 'failed') AND p.output_id = :output_id AND p.image_id = :image_id
  AND (p.job_id = :job_id OR p.job_id IN (SELECT j.id FROM jobs AS j WHERE j.root_id = :root_id AND j.rel = :rel));
