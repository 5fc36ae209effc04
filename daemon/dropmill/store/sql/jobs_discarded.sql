SELECT id FROM jobs WHERE state = 'discarded' ORDER BY id;
