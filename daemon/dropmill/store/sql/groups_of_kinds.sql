-- kinds: JSON list of [tier, relation, phash distance, roots].
SELECT g.* FROM json_each(:kinds) AS k CROSS JOIN groups AS g
WHERE g.state = :state AND g.tier = k.value ->> 0 AND g.relation = k.value ->> 1 AND g.phash_distance = k.value ->> 2
  AND g.roots = k.value ->> 3;
