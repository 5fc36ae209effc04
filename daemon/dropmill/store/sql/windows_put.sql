-- Under a new number, so that who follows sees it.
REPLACE INTO windows (image_id, version, hashes) VALUES (:image_id, :version, :hashes);
