-- Groups that are none without it: those that it keeps, and those of two.
DELETE FROM groups WHERE id IN (SELECT group_id FROM members WHERE image_id = :image_id)
  AND (keeper_image_id = :image_id OR (
    SELECT count(*) FROM members AS m WHERE m.group_id = groups.id AND m.image_id <> :image_id
  ) < 2);
