-- Files of an inbox that are in a group, or were missing when they were looked for last.
SELECT h.id, h.rel, h.missing_scans, s.dev FROM members AS m
JOIN holdings AS h ON h.id = m.holding_id JOIN sources AS s ON s.root_id = h.root_id AND s.rel = h.rel
WHERE m.holding_id > :after AND h.root_id = :root_id
UNION
SELECT h.id, h.rel, h.missing_scans, s.dev FROM holdings AS h
JOIN sources AS s ON s.root_id = h.root_id AND s.rel = h.rel
WHERE h.missing_scans > 0 AND h.id > :after AND h.root_id = :root_id
ORDER BY 1 LIMIT :limit;
