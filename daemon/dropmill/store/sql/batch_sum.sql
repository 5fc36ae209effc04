UPDATE batches SET done = :done, skipped = :skipped, undone = :undone, bytes = :bytes, detail = :detail WHERE id = :id;
