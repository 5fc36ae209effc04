-- Files that should be pictures and are not catalogued, in order, after one of them.
SELECT f.root_id, f.rel, f.reason, f.detail, f.size_bytes, f.seen_at_ms, r.path AS root_path
FROM refusals AS f JOIN roots AS r ON r.id = f.root_id
WHERE NOT f.ignored AND (f.root_id, f.rel) > (:root_id, :after)
ORDER BY f.root_id, f.rel LIMIT :limit;
