SELECT count(*) FROM jobs WHERE state = 'scheduled' AND reason IN (SELECT value FROM json_each(:patient));
