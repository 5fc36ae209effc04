-- Visible renditions of the given images, with the inbox and path of the job that put each out.
SELECT p.id, p.job_id, p.image_id, p.rendition, p.page, p.width, p.height, p.size_bytes, p.format, p.sha256, p.final_name,
  p.visible_at_ms, r.path AS output_path, j.inbox, j.rel AS source_rel, i.path AS source_root,
  u.canonical AS source_url
FROM json_each(:image_ids) AS wanted
JOIN publications AS p ON p.image_id = wanted.value AND p.state = 'visible'
JOIN roots AS r ON r.id = p.output_id
LEFT JOIN jobs AS j ON j.id = p.job_id
LEFT JOIN downloads AS u ON u.job_id = p.job_id
LEFT JOIN roots AS i ON i.id = j.root_id
ORDER BY p.job_id, p.id;
