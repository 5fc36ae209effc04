-- Files that hold the image as far as the catalog knows, and paths that held it.
SELECT r.id AS root_id, r.kind, r.path AS root_path, h.rel, 1 AS held FROM holdings AS h JOIN roots AS r ON r.id = h.root_id
WHERE h.image_id = :image_id
UNION
SELECT r.id, r.kind, r.path, v.rel, v.kept FROM versions AS v JOIN roots AS r ON r.id = v.root_id
WHERE v.image_id = :image_id;
