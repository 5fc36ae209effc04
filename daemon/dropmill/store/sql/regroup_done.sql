DELETE FROM regroup WHERE id <= :upto AND image_id IN (SELECT value FROM json_each(:ids));
