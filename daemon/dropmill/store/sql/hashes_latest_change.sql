SELECT max(seq) FROM hash_changes;
