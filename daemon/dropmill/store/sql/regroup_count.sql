SELECT count(*) FROM regroup;
