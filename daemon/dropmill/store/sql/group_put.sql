INSERT INTO groups (
  keeper_holding_id, keeper_image_id, tier, relation, phash_distance, members, reclaimable_bytes, chosen, reasons, roots, state,
  changed_at_ms
) VALUES (
  :keeper_holding_id, :keeper_image_id, :tier, :relation, :phash_distance, :members, :reclaimable_bytes, :chosen, :reasons, :roots,
  :state, :now_ms
) RETURNING id;
