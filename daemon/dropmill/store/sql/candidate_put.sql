INSERT INTO candidates (a, b, phash_distance, dhash_distance, phash256_distance)
VALUES (:a, :b, :phash_distance, :dhash_distance, :phash256_distance) ON CONFLICT DO NOTHING;
