-- What the ledger knows of the given paths. CROSS JOIN keeps the order: SQLite expects a long list of them and would
-- go through all sources of the inbox for it, which takes seconds for each lot of a large inbox (W33).
SELECT s.rel, s.dev, s.ino, s.size_bytes, s.mtime_ns, s.ctime_ns, s.verdict
FROM json_each(:rels) AS wanted
CROSS JOIN sources AS s ON s.root_id = :root_id AND s.rel = unhex(wanted.value);
