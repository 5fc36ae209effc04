-- roots: JSON list of texts as ',1,'. places: JSON list of [root, first, beyond], the paths below it in hexadecimal.
SELECT g.* FROM groups AS g
WHERE g.state = :state AND g.reclaimable_bytes <= :key AND (g.reclaimable_bytes < :key OR g.id > :id)
  AND (:tier IS NULL OR g.tier = :tier) AND (:relation IS NULL OR g.relation = :relation)
  AND (:threshold IS NULL OR g.phash_distance <= :threshold)
  AND (:roots IS NULL OR EXISTS (SELECT 1 FROM json_each(:roots) AS r WHERE instr(g.roots, r.value)))
  AND (:places IS NULL OR EXISTS (
    SELECT 1 FROM members AS m CROSS JOIN holdings AS h CROSS JOIN json_each(:places) AS p
    WHERE m.group_id = g.id AND h.id = m.holding_id AND h.root_id = p.value ->> 0
      AND h.rel >= unhex(p.value ->> 1) AND h.rel < unhex(p.value ->> 2)
  ))
ORDER BY g.reclaimable_bytes DESC, g.id LIMIT :limit;
