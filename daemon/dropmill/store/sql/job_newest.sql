SELECT max(id) AS id FROM jobs;
