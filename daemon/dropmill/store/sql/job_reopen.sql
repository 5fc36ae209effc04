-- A duplicate whose anchor failed is judged again (PROTOCOL 10), and so is a download that was known already.
UPDATE OR IGNORE jobs SET state = 'available', outcome = NULL, finished_at_ms = NULL, detail = 'its anchor could not be published'
WHERE id = :id AND state = 'completed' AND (outcome = 'duplicate' OR outcome = 'unchanged' AND host_id IS NOT NULL);
