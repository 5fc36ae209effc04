DELETE FROM preferences WHERE name = :name;
