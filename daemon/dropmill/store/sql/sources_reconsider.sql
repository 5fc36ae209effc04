-- Ignored files whose reason holds no more: one of :reasons, a list of URLs where they are taken now, or a companion or
-- done-file by an ending that is none now.
DELETE FROM sources WHERE root_id = :root_id AND verdict = 'ignored' AND (
  reason IN (SELECT value FROM json_each(:reasons))
  OR reason = :companion AND NOT EXISTS (
    SELECT 1 FROM json_each(:companions)
    WHERE lower(CAST(substr(rel, -length(value) - 1) AS TEXT)) = '.' || value
  )
  OR reason = :not_an_image AND :lists AND lower(CAST(substr(rel, -5) AS TEXT)) = '.urls'
  OR reason = :done_file AND (:done = '' OR lower(CAST(substr(rel, -length(:done) - 1) AS TEXT)) <> '.' || :done)
);
