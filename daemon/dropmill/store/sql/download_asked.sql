-- What the names of a URL's renditions are made from. The line is that of the job which was rendered first.
WITH RECURSIVE before(id, of) AS (
  SELECT id, reprocess_of FROM jobs WHERE id = :job_id
  UNION SELECT j.id, j.reprocess_of FROM before AS b JOIN jobs AS j ON j.id = b.of
)
SELECT d.canonical, d.hint, d.directory, (
  SELECT min(l.line) FROM before AS b CROSS JOIN lines AS l ON l.job_id = b.id
) AS line
FROM downloads AS d WHERE d.job_id = :job_id;
