-- How many other paths still lean on an image's renditions.
SELECT count(*) FROM versions WHERE image_id = :image_id AND NOT (root_id = :root_id AND rel = :rel);
