DELETE FROM hash_changes;
