-- Each way round is a search of its own, and each pair is told once.
SELECT a, b, how, phash_distance, dhash_distance, phash256_distance, relation
FROM pairs WHERE a IN (SELECT value FROM json_each(:ids))
UNION ALL
SELECT a, b, how, phash_distance, dhash_distance, phash256_distance, relation
FROM pairs WHERE b IN (SELECT value FROM json_each(:ids)) AND a NOT IN (SELECT value FROM json_each(:ids));
