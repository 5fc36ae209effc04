INSERT INTO attempts (job_id, epoch, boot, started_at_ms) VALUES (:job_id, :epoch, :boot, :now_ms);
