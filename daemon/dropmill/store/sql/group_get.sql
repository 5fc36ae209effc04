SELECT * FROM groups WHERE id = :id;
