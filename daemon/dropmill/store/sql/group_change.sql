UPDATE groups SET
  keeper_holding_id = :keeper_holding_id, keeper_image_id = :keeper_image_id, tier = :tier, relation = :relation,
  phash_distance = :phash_distance, members = :members, reclaimable_bytes = :reclaimable_bytes, chosen = :chosen,
  reasons = :reasons, roots = :roots, roster = :roster, state = :state, changed_at_ms = :now_ms
WHERE id = :id;
