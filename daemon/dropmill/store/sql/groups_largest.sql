SELECT id, reclaimable_bytes FROM groups WHERE id IN (SELECT value FROM json_each(:ids))
ORDER BY reclaimable_bytes DESC, id LIMIT :limit;
