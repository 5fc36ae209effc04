-- Renditions in an output of what a path has held, that still stand.
SELECT p.* FROM publications AS p
WHERE p.state IN ('owed', 'visible') AND p.output_id = :output_id
  AND p.image_id IN (SELECT v.image_id FROM versions AS v WHERE v.root_id = :root_id AND v.rel = :rel);
