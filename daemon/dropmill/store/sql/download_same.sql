-- What was fetched by another job is read again from where it is kept.
INSERT INTO downloads (
  job_id, url, canonical, hint, directory, expected_size_bytes, expected_type, expected_sha256, final_url, chain, address,
  status, etag, last_modified, content_type, http_version, size_bytes, sha256, started_at_ms, ended_at_ms
)
SELECT :job_id, url, canonical, hint, directory, expected_size_bytes, expected_type, expected_sha256, final_url, chain,
  address, status, etag, last_modified, content_type, http_version, size_bytes, sha256, started_at_ms, ended_at_ms
FROM downloads WHERE job_id = :of;
