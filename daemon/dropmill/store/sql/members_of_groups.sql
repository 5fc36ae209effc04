SELECT group_id, holding_id, image_id, tier, relation, phash_distance, dhash_distance, phash256_distance
FROM members WHERE group_id IN (SELECT value FROM json_each(:ids)) ORDER BY group_id, holding_id;
