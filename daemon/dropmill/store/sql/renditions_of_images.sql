-- Where the renditions of the given images are that can be seen, and which job put each out.
SELECT p.image_id, p.job_id, p.rendition, p.page, p.final_name, p.output_id, r.path AS output_path
FROM json_each(:image_ids) AS wanted
JOIN publications AS p ON p.image_id = wanted.value AND p.state = 'visible'
JOIN roots AS r ON r.id = p.output_id
ORDER BY p.image_id, p.id;
