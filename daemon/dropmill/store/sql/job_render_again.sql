-- A rendition was lost before it became visible. Where others of the job stand, they are replaced on purpose, as by
-- reprocessing; where none does, the job is decided anew.
UPDATE OR IGNORE jobs SET state = 'available', outcome = NULL, finished_at_ms = NULL, detail = :detail,
  reprocess_of = CASE WHEN :standing THEN id ELSE reprocess_of END
WHERE id = :id AND state = 'completed' AND outcome = 'published';
