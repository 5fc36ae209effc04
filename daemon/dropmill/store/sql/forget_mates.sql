-- The others of its groups are to be drawn anew.
INSERT OR REPLACE INTO regroup (image_id)
SELECT DISTINCT o.image_id FROM members AS m JOIN members AS o ON o.group_id = m.group_id
WHERE m.image_id = :image_id AND o.image_id <> :image_id;
