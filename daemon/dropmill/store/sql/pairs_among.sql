-- Those of which both are among the images.
SELECT a, b FROM pairs
WHERE a IN (SELECT value FROM json_each(:ids)) AND b IN (SELECT value FROM json_each(:ids));
