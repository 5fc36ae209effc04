-- Under the id that it had before, where no other group goes under that.
INSERT INTO groups (
  id, keeper_holding_id, keeper_image_id, tier, relation, phash_distance, members, reclaimable_bytes, chosen, reasons, roots, roster, state,
  changed_at_ms
) VALUES (
  (
    SELECT f.group_id FROM former_groups AS f
    WHERE f.keeper_holding_id = :keeper_holding_id AND f.roster = :roster AND NOT EXISTS (SELECT 1 FROM groups WHERE id = f.group_id)
  ),
  :keeper_holding_id, :keeper_image_id, :tier, :relation, :phash_distance, :members, :reclaimable_bytes, :chosen, :reasons, :roots,
  :roster, :state, :now_ms
) RETURNING id;
