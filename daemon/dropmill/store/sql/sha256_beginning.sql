SELECT sha256 FROM jobs WHERE sha256 >= :first AND sha256 < :beyond
UNION SELECT sha256 FROM images WHERE sha256 >= :first AND sha256 < :beyond ORDER BY sha256 LIMIT :limit;
