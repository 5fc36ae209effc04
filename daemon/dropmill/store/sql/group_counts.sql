SELECT state, tier, relation, phash_distance, roots, groups, members, reclaimable_bytes FROM group_counts WHERE groups > 0;
