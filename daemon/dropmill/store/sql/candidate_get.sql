SELECT a, b, phash_distance, dhash_distance, phash256_distance FROM candidates WHERE a = :a AND b = :b;
