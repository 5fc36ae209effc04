SELECT count(*) FROM refusals WHERE NOT ignored;
