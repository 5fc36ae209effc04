SELECT * FROM dropfiles WHERE name = :name;
