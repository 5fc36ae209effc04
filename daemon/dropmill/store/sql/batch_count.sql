-- What came of its deeds so far.
SELECT count(*) FILTER (WHERE state = 'owed') AS owed, count(*) FILTER (WHERE state = 'begun') AS begun,
  count(*) FILTER (WHERE state IN ('done', 'purged')) AS done, count(*) FILTER (WHERE state = 'skipped') AS skipped,
  count(*) FILTER (WHERE state = 'undone') AS undone, count(*) FILTER (WHERE state = 'done') AS kept,
  coalesce(sum(size_bytes) FILTER (WHERE state IN ('done', 'purged')), 0) AS bytes
FROM deeds WHERE batch_id = :batch_id;
