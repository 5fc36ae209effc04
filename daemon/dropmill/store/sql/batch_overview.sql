-- Of some groups, tier by tier: how many there are, how many files the action is for, and what they take. same_bytes: only
-- files with the keeper's own bytes.
SELECT g.tier, count(DISTINCT g.id) AS groups, count(h.id) AS members, coalesce(sum(h.size_bytes), 0) AS bytes
FROM groups AS g
LEFT JOIN members AS m ON m.group_id = g.id AND m.holding_id <> g.keeper_holding_id
  AND (NOT :same_bytes OR m.image_id = g.keeper_image_id)
LEFT JOIN holdings AS h ON h.id = m.holding_id
WHERE g.id IN (SELECT value FROM json_each(:ids))
GROUP BY g.tier;
