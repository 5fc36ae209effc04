-- Of some groups, tier by tier: in how many an action comes to anything, how many files it is for, and what they take; and
-- how many files it leaves, in how many groups all of them. A file of several names takes its room once. same_bytes: only
-- files with the keeper's own bytes. tier: only files that are that alike; copies of the same bytes are exact, however they
-- resemble the keeper, and the first of them stays.
SELECT tier, count(DISTINCT group_id) FILTER (WHERE fits) AS groups, coalesce(sum(fits), 0) AS members,
  coalesce(sum(size_bytes) FILTER (WHERE fits AND name = 1), 0) AS bytes,
  coalesce(sum(NOT fits), 0) AS left_members,
  count(DISTINCT group_id) - count(DISTINCT group_id) FILTER (WHERE fits) AS left_groups
FROM (
  SELECT coalesce(:tier, g.tier) AS tier, g.id AS group_id, h.size_bytes,
    (NOT :same_bytes OR m.image_id = g.keeper_image_id OR (:tier IS 'exact' AND m.tier <> 'exact')) AS fits,
    row_number() OVER (PARTITION BY g.id, m.image_id, h.ino, h.size_bytes, h.mtime_ns ORDER BY h.id) AS name
  FROM groups AS g JOIN members AS m ON m.group_id = g.id AND m.holding_id <> g.keeper_holding_id
    AND (:tier IS NULL OR m.tier = :tier OR (:tier = 'exact' AND EXISTS (
      SELECT 1 FROM members AS n
      WHERE n.group_id = m.group_id AND n.image_id = m.image_id AND n.holding_id < m.holding_id AND n.tier <> 'exact'
    )))
  JOIN holdings AS h ON h.id = m.holding_id
  WHERE g.id IN (SELECT value FROM json_each(:ids))
)
GROUP BY tier;
