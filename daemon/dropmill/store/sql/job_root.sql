SELECT root_id FROM jobs WHERE id = :id;
