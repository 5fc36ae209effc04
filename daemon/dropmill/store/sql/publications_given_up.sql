-- Renditions that were never visible and are not tried any more: only a person can bring them back.
SELECT count(*) FROM publications WHERE state = 'failed' AND visible_at_ms IS NULL;
