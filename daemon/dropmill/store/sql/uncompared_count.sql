SELECT count(*) FROM uncompared;
