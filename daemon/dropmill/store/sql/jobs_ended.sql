-- A page of the jobs that ended before then, in that order, and which of them nothing leans on any more (Q14). One whose
-- renditions stand or were given up, or that a path remembers, is what `why` tells of and what can be reprocessed.
SELECT j.id, j.finished_at_ms, NOT (
  EXISTS (SELECT 1 FROM publications AS p WHERE p.job_id = j.id AND p.state <> 'retired')
  OR EXISTS (SELECT 1 FROM versions AS v WHERE v.job_id = j.id)
  OR EXISTS (SELECT 1 FROM disposals AS d WHERE d.job_id = j.id AND d.state = 'owed')
  OR EXISTS (SELECT 1 FROM notices AS n WHERE n.job_id = j.id AND n.state = 'owed')
  OR EXISTS (SELECT 1 FROM lines AS l WHERE l.job_id = j.id AND l.told = 0)
  OR EXISTS (SELECT 1 FROM webhook_events AS e WHERE e.job_id = j.id AND e.body IS NULL)
) AS idle
FROM jobs AS j
WHERE j.state IN ('completed', 'discarded', 'cancelled') AND j.finished_at_ms < :before_ms
  AND (j.finished_at_ms, j.id) > (:after_ms, :after_id)
ORDER BY j.finished_at_ms, j.id LIMIT :limit;
