DELETE FROM candidates WHERE a = :a AND b = :b;
