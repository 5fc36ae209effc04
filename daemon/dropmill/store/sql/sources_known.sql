-- Those of the given paths whose latest version has exactly the given signature.
SELECT s.rel, s.dev, s.ino, s.size_bytes, s.mtime_ns, s.ctime_ns, s.verdict
FROM json_each(:rels) AS wanted
JOIN sources AS s ON s.root_id = :root_id AND s.rel = unhex(wanted.value);
