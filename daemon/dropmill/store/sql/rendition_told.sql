SELECT p.id, p.final_name, p.format, p.sha256, p.size_bytes, r.path AS output_path
FROM publications AS p JOIN roots AS r ON r.id = p.output_id
WHERE p.id = :id AND p.state = 'visible';
