-- Those of some groups in which an action comes to most. same_bytes: only files with the keeper's own bytes count. tier: as in batch_overview.
SELECT group_id AS id, count(*) AS members, sum(size_bytes) FILTER (WHERE name = 1) AS bytes
FROM (
  SELECT g.id AS group_id, h.size_bytes,
    row_number() OVER (PARTITION BY g.id, m.image_id, h.ino, h.size_bytes, h.mtime_ns ORDER BY h.id) AS name
  FROM groups AS g JOIN members AS m ON m.group_id = g.id AND m.holding_id <> g.keeper_holding_id
    AND (NOT :same_bytes OR m.image_id = g.keeper_image_id OR (:tier IS 'exact' AND m.tier <> 'exact'))
    AND (:tier IS NULL OR m.tier = :tier OR (:tier = 'exact' AND EXISTS (
      SELECT 1 FROM members AS n
      WHERE n.group_id = m.group_id AND n.image_id = m.image_id AND n.holding_id < m.holding_id AND n.tier <> 'exact'
    )))
  JOIN holdings AS h ON h.id = m.holding_id
  WHERE g.id IN (SELECT value FROM json_each(:ids))
)
GROUP BY group_id ORDER BY bytes DESC, group_id LIMIT :limit;
