-- Nothing is changed, and so nothing drawn anew, where the pair is known as it is. What pixels told goes with other hashes.
-- What pixels have borne out of a part stays: that the hashes lie so far apart was known when it was suggested.
INSERT INTO pairs (a, b, how, phash_distance, dhash_distance, phash256_distance, relation)
VALUES (:a, :b, :how, :phash_distance, :dhash_distance, :phash256_distance, :relation)
ON CONFLICT (a, b) DO UPDATE SET
  how = excluded.how, phash_distance = excluded.phash_distance, dhash_distance = excluded.dhash_distance,
  phash256_distance = excluded.phash256_distance, relation = excluded.relation, detail = ''
WHERE NOT (how = 'window' AND excluded.how = 'hash') AND (
  how <> excluded.how OR phash_distance <> excluded.phash_distance OR dhash_distance <> excluded.dhash_distance
  OR phash256_distance <> excluded.phash256_distance
);
