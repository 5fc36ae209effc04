-- What a path held before it was overwritten leans on no image any more.
DELETE FROM versions WHERE root_id = :root_id AND rel = :rel AND sha256 <> :sha256 AND kept = 1;
