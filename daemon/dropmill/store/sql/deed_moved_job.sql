SELECT job_id FROM deeds WHERE target_root_id = :root_id AND target_name = :rel AND state = 'done' ORDER BY id DESC LIMIT 1;
