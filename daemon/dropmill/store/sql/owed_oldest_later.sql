-- Of what has been tried in vain, the oldest job's, and what stood in its way.
SELECT job_id, detail FROM (
  SELECT job_id, detail FROM publications WHERE state IN ('owed', 'retiring') AND attempts > 0
  UNION ALL SELECT job_id, detail FROM disposals WHERE state = 'owed' AND attempts > 0
  UNION ALL SELECT job_id, detail FROM notices WHERE state = 'owed' AND attempts > 0
) ORDER BY job_id LIMIT 1;
