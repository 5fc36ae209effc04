DELETE FROM judgements WHERE sha256_a = :sha256 OR sha256_b = :sha256;
