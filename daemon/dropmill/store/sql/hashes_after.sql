SELECT id, phash, dhash FROM images WHERE id > :after ORDER BY id;
