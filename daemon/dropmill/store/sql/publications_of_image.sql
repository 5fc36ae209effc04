SELECT p.*, r.path AS output_path FROM publications AS p JOIN roots AS r ON r.id = p.output_id
WHERE p.image_id = :image_id AND p.state IN ('owed', 'visible') ORDER BY p.id;
