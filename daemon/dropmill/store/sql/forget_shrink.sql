UPDATE groups SET members = (
  SELECT count(*) FROM members AS m WHERE m.group_id = groups.id AND m.image_id <> :image_id
) WHERE id IN (SELECT group_id FROM members WHERE image_id = :image_id);
