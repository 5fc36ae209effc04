SELECT a, b FROM candidates WHERE a = :a AND b = :b;
