-- A page of the ledger in path order, for comparing it with what is there, in bounded memory.
SELECT s.rel, s.dev, s.ino, s.size_bytes, s.mtime_ns, s.ctime_ns, s.missing_scans FROM sources AS s JOIN roots AS r ON r.id = s.root_id
WHERE s.root_id = :root_id AND s.rel > :after AND s.seen_at_ms >= r.since_ms
ORDER BY s.rel LIMIT :limit;
