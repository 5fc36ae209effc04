-- The output that was last recorded at a path.
SELECT name FROM roots WHERE kind = 'output' AND path = :path ORDER BY id DESC LIMIT 1;
