SELECT * FROM images WHERE id = :id;
