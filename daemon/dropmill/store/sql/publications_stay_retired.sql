-- The others were never there, are gone, or have their name taken by a successor.
UPDATE publications SET state = 'retired' WHERE retired_by = :job_id AND state = 'retiring';
