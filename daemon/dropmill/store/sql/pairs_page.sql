-- In order, with what decides whether a pair is in force and which picture is the larger one.
SELECT p.a, p.b, p.how, p.phash_distance, p.dhash_distance, p.phash256_distance, p.relation,
  one.texture AS texture_a, other.texture AS texture_b,
  one.width * one.height AS pixels_a, other.width * other.height AS pixels_b,
  EXISTS (SELECT 1 FROM holdings WHERE image_id = p.a) AND EXISTS (SELECT 1 FROM holdings WHERE image_id = p.b) AS held,
  EXISTS (SELECT 1 FROM judgements AS j WHERE j.kind IN ('different', 'both')
    AND j.sha256_a = min(one.sha256, other.sha256) AND j.sha256_b = max(one.sha256, other.sha256)) AS judged
FROM pairs AS p JOIN images AS one ON one.id = p.a JOIN images AS other ON other.id = p.b
WHERE (p.a, p.b) > (:a, :b) ORDER BY p.a, p.b LIMIT :limit;
