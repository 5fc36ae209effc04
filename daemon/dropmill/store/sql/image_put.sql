INSERT INTO images (
  sha256, coded_sha256, fingerprint_version, phash, dhash, ahash, phash256, texture, format, width, height, mode,
  frames, pages_dropped, orientation, icc, captured_at, copyright, camera, size_bytes, created_at_ms
) VALUES (
  :sha256, :coded_sha256, :fingerprint_version, :phash, :dhash, :ahash, :phash256, :texture, :format, :width, :height, :mode,
  :frames, :pages_dropped, :orientation, :icc, :captured_at, :copyright, :camera, :size_bytes, :now_ms
)
ON CONFLICT (sha256) DO UPDATE SET
  coded_sha256 = excluded.coded_sha256, fingerprint_version = excluded.fingerprint_version, phash = excluded.phash,
  dhash = excluded.dhash, ahash = excluded.ahash, phash256 = excluded.phash256, texture = excluded.texture,
  pages_dropped = excluded.pages_dropped
RETURNING id;
