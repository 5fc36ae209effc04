SELECT staged_name FROM publications WHERE output_id = :output_id AND state = 'owed';
