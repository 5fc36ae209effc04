-- What keeps questions cheap when a million jobs are in the queue.
-- How many jobs each inbox has of a state and outcome ('' for none), kept by triggers: counting rows takes a second.
CREATE TABLE job_counts (
  inbox TEXT NOT NULL,
  state TEXT NOT NULL,
  outcome TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (inbox, state, outcome)
) STRICT, WITHOUT ROWID;
INSERT INTO job_counts SELECT inbox, state, coalesce(outcome, ''), count(*) FROM jobs GROUP BY 1, 2, 3;
CREATE TRIGGER jobs_counted_in AFTER INSERT ON jobs BEGIN
  INSERT OR IGNORE INTO job_counts VALUES (new.inbox, new.state, coalesce(new.outcome, ''), 0);
  UPDATE job_counts SET count = count + 1
  WHERE inbox = new.inbox AND state = new.state AND outcome = coalesce(new.outcome, '');
END;
CREATE TRIGGER jobs_counted_out AFTER DELETE ON jobs BEGIN
  UPDATE job_counts SET count = count - 1
  WHERE inbox = old.inbox AND state = old.state AND outcome = coalesce(old.outcome, '');
END;
CREATE TRIGGER jobs_counted_on AFTER UPDATE OF state, outcome ON jobs
WHEN new.state <> old.state OR new.outcome IS NOT old.outcome BEGIN
  UPDATE job_counts SET count = count - 1
  WHERE inbox = old.inbox AND state = old.state AND outcome = coalesce(old.outcome, '');
  INSERT OR IGNORE INTO job_counts VALUES (new.inbox, new.state, coalesce(new.outcome, ''), 0);
  UPDATE job_counts SET count = count + 1
  WHERE inbox = new.inbox AND state = new.state AND outcome = coalesce(new.outcome, '');
END;

-- The oldest job that could be started.
CREATE INDEX jobs_oldest ON jobs (enqueued_at_ms) WHERE state = 'available';
-- Forgetting a job looks for those that were made from it.
CREATE INDEX jobs_by_original ON jobs (reprocess_of) WHERE reprocess_of IS NOT NULL;
-- A person asks by content, or a duplicate is judged again.
CREATE INDEX jobs_by_content ON jobs (sha256) WHERE sha256 IS NOT NULL;
-- What is owed to the outputs, and what was given up, among all that was ever put out.
CREATE INDEX publications_pending ON publications (next_attempt_at_ms) WHERE state IN ('owed', 'retiring');
CREATE INDEX publications_given_up ON publications (job_id) WHERE state = 'failed' AND visible_at_ms IS NULL;
CREATE INDEX versions_by_job ON versions (job_id);
CREATE INDEX notices_by_job ON notices (job_id);
