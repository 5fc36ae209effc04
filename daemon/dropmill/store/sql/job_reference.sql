SELECT inbox, rel FROM jobs WHERE id = :id;
