-- What jobs of an image say of the changed copies that they put out.
SELECT j.resemblance FROM jobs AS j
WHERE j.image_id = :image_id AND j.outcome = 'published' AND j.resemblance LIKE '%"changes"%';
