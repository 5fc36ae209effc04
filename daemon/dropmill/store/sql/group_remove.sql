DELETE FROM groups WHERE id = :id;
