SELECT coalesce(sum(count), 0) FROM job_counts
WHERE state = 'available' AND inbox IN (SELECT value FROM json_each(:inboxes));
