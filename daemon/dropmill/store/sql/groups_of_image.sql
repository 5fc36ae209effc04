SELECT DISTINCT group_id FROM members WHERE image_id = :image_id ORDER BY group_id;
