INSERT INTO members (
  group_id, holding_id, image_id, tier, relation, phash_distance, dhash_distance, phash256_distance
) VALUES (
  :group_id, :holding_id, :image_id, :tier, :relation, :phash_distance, :dhash_distance, :phash256_distance
)
ON CONFLICT (holding_id) DO NOTHING;
