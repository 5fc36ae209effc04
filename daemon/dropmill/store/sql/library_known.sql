-- What is known of the given paths below some roots: files that hold a picture, and those that hold none. CROSS JOIN keeps
-- the order, as in sources_known.
SELECT h.rel, h.ino, h.size_bytes, h.mtime_ns, '' AS reason, '' AS detail, 0 AS ignored
FROM json_each(:roots) AS r
CROSS JOIN json_each(:rels) AS wanted
CROSS JOIN holdings AS h ON h.root_id = r.value AND h.rel = unhex(wanted.value)
UNION ALL
SELECT f.rel, f.ino, f.size_bytes, f.mtime_ns, f.reason, f.detail, f.ignored
FROM json_each(:roots) AS r
CROSS JOIN json_each(:rels) AS wanted
CROSS JOIN refusals AS f ON f.root_id = r.value AND f.rel = unhex(wanted.value)
WHERE f.rules IN ('', :rules);
