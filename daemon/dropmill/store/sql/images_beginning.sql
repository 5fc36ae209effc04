SELECT id, sha256 FROM images WHERE sha256 >= :first AND sha256 < :beyond ORDER BY sha256 LIMIT :limit;
