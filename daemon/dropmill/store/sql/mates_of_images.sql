-- Images in the groups of these.
SELECT DISTINCT other.image_id FROM members AS own JOIN members AS other ON other.group_id = own.group_id
WHERE own.image_id IN (SELECT value FROM json_each(:ids));
