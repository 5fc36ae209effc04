UPDATE candidates SET reason = :reason WHERE a = :a AND b = :b;
