-- Whether at least :jobs jobs wait to be begun, without counting any further.
SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'available' LIMIT 1 OFFSET :jobs - 1);
