SELECT count(*) FROM images WHERE fingerprint_version < :version
  OR (fingerprint_version > :version AND fingerprint_version < :streamed);
