-- What became of the lines of one drop-file, or of one list in an inbox.
SELECT coalesce(j.state, 'refused') AS state, count(*) AS lines
FROM lines AS l LEFT JOIN jobs AS j ON j.id = l.job_id
WHERE l.dropfile = :dropfile
GROUP BY 1;
