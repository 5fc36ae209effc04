-- In the order of their ids, to go through all. having: with a member, besides the keeper, of that tier; copies of the same
-- bytes are exact, however they resemble the keeper.
SELECT g.* FROM groups AS g WHERE g.state = :state AND g.id > :id
  AND (:tier IS NULL OR g.tier = :tier) AND (:relation IS NULL OR g.relation = :relation)
  AND (:threshold IS NULL OR g.phash_distance <= :threshold)
  AND (:roots IS NULL OR EXISTS (SELECT 1 FROM json_each(:roots) AS r WHERE instr(g.roots, r.value)))
  AND (:places IS NULL OR EXISTS (
    SELECT 1 FROM members AS m CROSS JOIN holdings AS h CROSS JOIN json_each(:places) AS p
    WHERE m.group_id = g.id AND h.id = m.holding_id AND h.root_id = p.value ->> 0
      AND h.rel >= unhex(p.value ->> 1) AND h.rel < unhex(p.value ->> 2)
  ))
  AND (:having IS NULL OR EXISTS (
    SELECT 1 FROM members AS m WHERE m.group_id = g.id AND m.tier = :having AND m.holding_id <> g.keeper_holding_id
  ) OR (:having = 'exact' AND EXISTS (
    SELECT 1 FROM members AS m JOIN members AS n
      ON n.group_id = m.group_id AND n.image_id = m.image_id AND n.holding_id > m.holding_id
    WHERE m.group_id = g.id
  )))
ORDER BY g.id LIMIT :limit;
