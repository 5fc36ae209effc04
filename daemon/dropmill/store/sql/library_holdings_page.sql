SELECT rel, job_id FROM holdings WHERE root_id = :root_id AND rel > :after AND rel < :beyond ORDER BY rel LIMIT :limit;
