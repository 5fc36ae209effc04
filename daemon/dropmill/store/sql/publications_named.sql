-- Everything that was ever put out under a name, latest first.
SELECT id, job_id, state, rendition FROM publications WHERE output_id = :output_id AND final_name = :final_name
ORDER BY id DESC;
