SELECT * FROM roots;
