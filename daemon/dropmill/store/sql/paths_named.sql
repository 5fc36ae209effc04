-- Sources of jobs, and files that libraries hold or could not take, by the last component of their path.
SELECT r.path AS root_path, j.rel FROM jobs AS j JOIN roots AS r ON r.id = j.root_id
WHERE j.rel = :name OR substr(j.rel, -length(:tail)) = :tail
UNION SELECT r.path, h.rel FROM holdings AS h JOIN roots AS r ON r.id = h.root_id
WHERE r.kind IN ('library', 'move') AND h.job_id IS NULL AND (h.rel = :name OR substr(h.rel, -length(:tail)) = :tail)
UNION SELECT r.path, f.rel FROM refusals AS f JOIN roots AS r ON r.id = f.root_id
WHERE r.kind = 'library' AND NOT f.ignored AND (f.rel = :name OR substr(f.rel, -length(:tail)) = :tail)
ORDER BY root_path, rel LIMIT :limit;
