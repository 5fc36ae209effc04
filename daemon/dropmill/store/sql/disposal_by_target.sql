SELECT job_id FROM disposals WHERE target_root_id = :target_root_id AND target_name = :target_name ORDER BY id DESC LIMIT 1;
