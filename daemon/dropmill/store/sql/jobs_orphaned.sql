SELECT * FROM jobs WHERE state = 'executing' AND owner <> :owner;
