UPDATE OR IGNORE publications SET final_name = :final_name, final_key = :final_key, replaces = NULL
WHERE id = :id AND state = 'owed';
