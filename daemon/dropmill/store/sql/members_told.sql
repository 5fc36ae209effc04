-- The keeper first, then the nearest; so many of each group.
SELECT * FROM (
  SELECT m.group_id, m.holding_id, m.image_id, m.tier, m.relation, m.phash_distance, m.dhash_distance,
    m.phash256_distance, m.holding_id = g.keeper_holding_id AS keeper,
    h.rel, h.root_id, h.ino, h.size_bytes, h.mtime_ns, h.job_id, r.kind AS root_kind, r.name AS root_name, r.path AS root_path,
    i.sha256, i.phash, i.width, i.height, i.orientation, i.format, i.captured_at,
    row_number() OVER (
      PARTITION BY m.group_id ORDER BY m.holding_id <> g.keeper_holding_id, m.phash_distance, m.dhash_distance, m.holding_id
    ) AS place
  FROM members AS m JOIN groups AS g ON g.id = m.group_id JOIN holdings AS h ON h.id = m.holding_id
  JOIN roots AS r ON r.id = h.root_id JOIN images AS i ON i.id = m.image_id
  WHERE m.group_id IN (SELECT value FROM json_each(:ids))
) WHERE place <= :most ORDER BY group_id, place;
