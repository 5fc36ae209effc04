INSERT INTO downloads (job_id, url, canonical, hint, directory, expected_size_bytes, expected_type, expected_sha256)
SELECT :job_id, url, canonical, hint, directory, expected_size_bytes, expected_type, expected_sha256
FROM downloads WHERE job_id = :of;
