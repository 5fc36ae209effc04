SELECT DISTINCT sha256 FROM jobs WHERE sha256 >= :first AND sha256 < :beyond ORDER BY sha256 LIMIT :limit;
