SELECT m.group_id, m.holding_id, m.tier, m.relation, m.phash_distance, g.members, g.state, g.keeper_holding_id,
  h.rel AS keeper_rel, r.path AS keeper_root_path
FROM members AS m JOIN groups AS g ON g.id = m.group_id JOIN holdings AS h ON h.id = g.keeper_holding_id
JOIN roots AS r ON r.id = h.root_id
WHERE m.holding_id = :holding_id;
