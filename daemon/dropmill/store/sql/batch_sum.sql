UPDATE batches SET done = :done, skipped = :skipped, undone = :undone, bytes = :bytes WHERE id = :id;
