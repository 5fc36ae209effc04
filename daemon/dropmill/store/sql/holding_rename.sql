-- Its earlier number, by which groups and pages know it.
UPDATE holdings SET id = :id WHERE root_id = :root_id AND rel = :rel AND id <> :id
  AND NOT EXISTS (SELECT 1 FROM holdings WHERE id = :id);
