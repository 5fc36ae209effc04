SELECT DISTINCT r.path AS root_path, p.final_name AS rel FROM publications AS p JOIN roots AS r ON r.id = p.output_id
WHERE p.final_name = :name OR substr(p.final_name, -length(:tail)) = :tail
ORDER BY r.path, p.final_name LIMIT :limit;
