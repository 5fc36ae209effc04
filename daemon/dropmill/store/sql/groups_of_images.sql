SELECT * FROM groups WHERE id IN (
  SELECT group_id FROM members WHERE image_id IN (SELECT value FROM json_each(:ids))
) ORDER BY id;
