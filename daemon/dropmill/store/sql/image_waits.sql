SELECT EXISTS (SELECT 1 FROM uncompared WHERE image_id = :image_id) OR EXISTS (SELECT 1 FROM regroup WHERE image_id = :image_id);
