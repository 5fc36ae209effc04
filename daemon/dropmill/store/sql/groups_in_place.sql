-- Of the files of a folder that are in a group, so many.
SELECT m.group_id FROM holdings AS h CROSS JOIN members AS m
WHERE h.root_id = :root_id AND h.rel >= :first AND h.rel < :beyond AND m.holding_id = h.id LIMIT :limit;
