-- What is known of the pictures of the given jobs, and how the URL of a download was written.
SELECT j.id AS job_id, d.url AS given, i.coded_sha256, i.phash, i.dhash, i.width, i.height, i.format, i.captured_at
FROM json_each(:ids) AS wanted
JOIN jobs AS j ON j.id = wanted.value
-- Of a duplicate that looks alike, its own; of one with the same bytes, or of an earlier version, what it leans on.
LEFT JOIN images AS i ON i.id = coalesce((SELECT id FROM images WHERE sha256 = j.sha256), j.image_id)
LEFT JOIN downloads AS d ON d.job_id = j.id;
