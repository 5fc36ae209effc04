-- Whether something of ours is still to happen to a path: an active job, an original on its way out, or a file of which it
-- is not recorded yet that a person had it taken away.
SELECT EXISTS (
  SELECT 1 FROM jobs WHERE root_id = :root_id AND rel = :rel AND state IN ('scheduled', 'available', 'executing')
) OR EXISTS (
  SELECT 1 FROM disposals AS d JOIN jobs AS j ON j.id = d.job_id
  WHERE j.root_id = :root_id AND j.rel = :rel AND d.state = 'owed'
) OR EXISTS (
  SELECT 1 FROM deeds WHERE root_id = :root_id AND rel = :rel AND state = 'begun'
) AS busy;
