SELECT max(id) FROM images;
