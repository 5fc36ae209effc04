INSERT INTO unmeasured SELECT image_id FROM evidence WHERE reason <> '' AND reason IN (SELECT value FROM json_each(:reasons))
ON CONFLICT DO NOTHING;
