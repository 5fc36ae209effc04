UPDATE downloads SET final_url = :final_url, chain = :chain, address = :address, status = :status, etag = :etag,
  last_modified = :last_modified, content_type = :content_type, http_version = :http_version, size_bytes = :size_bytes,
  sha256 = :sha256, started_at_ms = :started_at_ms, ended_at_ms = :ended_at_ms
WHERE job_id = :job_id;
