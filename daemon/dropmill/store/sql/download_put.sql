INSERT INTO downloads (
  job_id, url, canonical, hint, directory, expected_size_bytes, expected_type, expected_sha256, etag, last_modified
) VALUES (
  :job_id, :url, :canonical, :hint, :directory, :expected_size_bytes, :expected_type, :expected_sha256,
  :etag, :last_modified
);
