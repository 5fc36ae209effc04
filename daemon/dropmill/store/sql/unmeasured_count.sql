SELECT count(*) FROM unmeasured;
