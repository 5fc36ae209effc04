-- Those of some images that have standing renditions within the scope, as for twins.
SELECT i.id, i.sha256, i.coded_sha256, i.phash, i.dhash, i.phash256, i.texture, i.width, i.height
FROM images AS i
WHERE i.id IN (SELECT value FROM json_each(:ids))
  AND EXISTS (
    SELECT 1 FROM publications AS p
    WHERE p.image_id = i.id AND p.state IN ('owed', 'visible')
      AND CASE :scope
        WHEN 'output' THEN p.output_id = :output_id AND p.recipe = :recipe
        WHEN 'inbox' THEN EXISTS (SELECT 1 FROM versions AS v WHERE v.image_id = i.id AND v.root_id = :root_id)
        ELSE 1
      END
  );
