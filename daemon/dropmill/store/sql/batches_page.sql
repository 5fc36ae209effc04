SELECT * FROM batches WHERE :before IS NULL OR id < :before ORDER BY id DESC LIMIT :limit;
