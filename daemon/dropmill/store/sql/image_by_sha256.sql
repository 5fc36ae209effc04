SELECT * FROM images WHERE sha256 = :sha256;
