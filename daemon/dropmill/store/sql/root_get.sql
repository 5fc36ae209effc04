SELECT * FROM roots WHERE id = :id;
