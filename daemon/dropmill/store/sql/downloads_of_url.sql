SELECT job_id FROM downloads WHERE canonical = :canonical ORDER BY job_id;
