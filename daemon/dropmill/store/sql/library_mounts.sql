SELECT rel FROM library_mounts WHERE root_id = :root_id;
