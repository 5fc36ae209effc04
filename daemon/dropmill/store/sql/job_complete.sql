UPDATE jobs SET state = 'completed', outcome = :outcome, reason = NULL, detail = :detail, owner = NULL,
  finished_at_ms = :now_ms, sha256 = :sha256, image_id = :image_id, duplicate_tier = :duplicate_tier, moved_from = :moved_from,
  anchor_job_id = :anchor_job_id, resemblance = :resemblance
WHERE id = :id AND epoch = :epoch AND state = 'executing';
