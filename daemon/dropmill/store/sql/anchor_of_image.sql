-- The publication of an image that a duplicate leans on: of its own output and recipe, or its own inbox, which goes first
-- where only that counts; with the path or URL that it was made from.
SELECT p.job_id, r.path AS source_root, j.rel AS source_rel, u.canonical AS source_url
FROM publications AS p
LEFT JOIN jobs AS j ON j.id = p.job_id
LEFT JOIN roots AS r ON r.id = j.root_id
LEFT JOIN downloads AS u ON u.job_id = p.job_id
WHERE p.image_id = :image_id AND p.state IN ('owed', 'visible')
ORDER BY :scope = 'inbox' AND j.root_id IS :root_id DESC, p.output_id = :output_id AND p.recipe = :recipe DESC,
  j.root_id IS :root_id DESC, p.id LIMIT 1;
