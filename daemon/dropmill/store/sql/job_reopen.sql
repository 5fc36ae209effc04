-- A duplicate whose anchor failed is judged again (PROTOCOL 10).
UPDATE OR IGNORE jobs SET state = 'available', outcome = NULL, finished_at_ms = NULL, detail = 'its anchor could not be published'
WHERE id = :id AND state = 'completed' AND outcome = 'duplicate';
