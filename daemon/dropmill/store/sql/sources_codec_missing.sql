DELETE FROM sources WHERE root_id = :root_id AND verdict = 'ignored' AND reason = 'codec-missing';
