SELECT image_id, version, evidence, reason FROM evidence WHERE image_id IN (SELECT value FROM json_each(:ids));
