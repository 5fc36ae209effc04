SELECT count(*) FROM images;
