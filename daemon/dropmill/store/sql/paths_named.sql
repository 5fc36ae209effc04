SELECT DISTINCT r.path AS root_path, j.rel FROM jobs AS j JOIN roots AS r ON r.id = j.root_id
WHERE j.rel = :name OR substr(j.rel, -length(:tail)) = :tail
ORDER BY r.path, j.rel LIMIT :limit;
