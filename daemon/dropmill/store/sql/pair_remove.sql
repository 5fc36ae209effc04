DELETE FROM pairs WHERE a = :a AND b = :b;
