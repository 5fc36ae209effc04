-- Of the next ones those that resemble nothing, are in no group, and have one file at most.
DELETE FROM regroup WHERE id IN (SELECT id FROM regroup ORDER BY id LIMIT :limit)
  AND NOT EXISTS (SELECT 1 FROM pairs WHERE a = regroup.image_id)
  AND NOT EXISTS (SELECT 1 FROM pairs WHERE b = regroup.image_id)
  AND NOT EXISTS (SELECT 1 FROM members WHERE members.image_id = regroup.image_id)
  AND (SELECT count(*) FROM holdings WHERE holdings.image_id = regroup.image_id) < 2;
