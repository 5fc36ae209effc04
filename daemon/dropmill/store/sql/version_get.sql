SELECT v.*, EXISTS (
  SELECT 1 FROM publications AS p
  WHERE p.image_id = v.image_id AND p.output_id = :output_id AND p.state IN ('owed', 'visible')
) AS standing
FROM versions AS v WHERE v.root_id = :root_id AND v.rel = :rel AND v.sha256 = :sha256;
