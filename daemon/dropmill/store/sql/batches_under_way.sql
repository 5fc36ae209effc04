SELECT * FROM batches WHERE state IN ('planning', 'doing', 'undoing') ORDER BY id;
