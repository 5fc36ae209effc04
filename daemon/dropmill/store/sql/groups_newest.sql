-- By the index on state and time.
SELECT max(newest) FROM (
  SELECT max(changed_at_ms) AS newest FROM groups WHERE state = 'open'
  UNION ALL SELECT max(changed_at_ms) FROM groups WHERE state = 'settled'
);
