SELECT r.path AS root_path, p.final_name FROM publications AS p JOIN roots AS r ON r.id = p.output_id
WHERE p.image_id = :image_id AND p.state = 'visible' ORDER BY p.id;
