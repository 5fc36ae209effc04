-- Those of which nothing is known yet, not even why.
INSERT INTO unmeasured SELECT value FROM json_each(:ids) AS asked
WHERE NOT EXISTS (SELECT 1 FROM evidence WHERE image_id = asked.value AND version = :version)
ON CONFLICT DO NOTHING;
