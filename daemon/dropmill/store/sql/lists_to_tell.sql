SELECT d.name, d.path
FROM dropfiles AS d
WHERE d.name > :start AND d.name < :end
  AND EXISTS (SELECT 1 FROM lines AS l WHERE l.dropfile = d.name AND l.ended = 1 AND l.told = 0);
