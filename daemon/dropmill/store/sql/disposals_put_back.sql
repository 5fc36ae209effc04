-- What was taken out of the inbox is under its own name again.
UPDATE disposals SET result = 'put back', done_at_ms = :now_ms WHERE job_id = :job_id AND state = 'done';
