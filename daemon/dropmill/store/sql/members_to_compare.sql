SELECT g.keeper_image_id, m.image_id FROM members AS m JOIN groups AS g ON g.id = m.group_id
JOIN pairs AS p ON p.a = min(g.keeper_image_id, m.image_id) AND p.b = max(g.keeper_image_id, m.image_id)
WHERE m.relation = '' AND p.relation = '' ORDER BY m.group_id, m.holding_id LIMIT :limit;
