UPDATE downloads SET etag = '', last_modified = '' WHERE job_id = :job_id;
