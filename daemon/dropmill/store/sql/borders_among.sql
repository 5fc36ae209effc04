-- Pairs of which both are among the images, and one is the other within a border.
SELECT a, b, detail FROM pairs
WHERE a IN (SELECT value FROM json_each(:ids)) AND b IN (SELECT value FROM json_each(:ids)) AND relation = 'bordered';
