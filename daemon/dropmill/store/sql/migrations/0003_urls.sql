-- URLs: a job of a URL is fetched first, then processed like any other.
ALTER TABLE jobs ADD COLUMN phase TEXT NOT NULL DEFAULT 'process' CHECK (phase IN ('fetch', 'process'));
ALTER TABLE jobs ADD COLUMN host_id INTEGER REFERENCES hosts;
-- Of a duplicate: the job whose renditions stand for it, which may be forgotten before it.
ALTER TABLE jobs ADD COLUMN anchor_job_id INTEGER;
DROP INDEX jobs_to_claim;
CREATE INDEX jobs_to_claim ON jobs (inbox, rank_ms, id) WHERE state = 'available' AND phase = 'process';
CREATE INDEX jobs_to_fetch ON jobs (host_id, inbox, rank_ms, id) WHERE state = 'available' AND phase = 'fetch';
CREATE INDEX jobs_of_host ON jobs (host_id) WHERE phase = 'fetch' AND state IN ('scheduled', 'available', 'executing');

-- Who is asked, and since when and until when it is left in peace; a restart knows of it.
CREATE TABLE hosts (
  id INTEGER PRIMARY KEY,
  origin TEXT NOT NULL UNIQUE,
  waiting INTEGER NOT NULL DEFAULT 0,
  ready_at_ms INTEGER NOT NULL DEFAULT 0,
  served_at_ms INTEGER NOT NULL DEFAULT 0,
  failures INTEGER NOT NULL DEFAULT 0,
  opened_at_ms INTEGER,
  probes INTEGER NOT NULL DEFAULT 0,
  detail TEXT NOT NULL DEFAULT '',
  robots TEXT,
  robots_at_ms INTEGER
) STRICT;
CREATE INDEX hosts_with_work ON hosts (served_at_ms) WHERE waiting > 0;

-- How many jobs of a host could be fetched now, as far as the host lets.
CREATE TRIGGER jobs_wait_in AFTER INSERT ON jobs WHEN new.state = 'available' AND new.phase = 'fetch' BEGIN
  UPDATE hosts SET waiting = waiting + 1 WHERE id = new.host_id;
END;
CREATE TRIGGER jobs_wait_out AFTER DELETE ON jobs WHEN old.state = 'available' AND old.phase = 'fetch' BEGIN
  UPDATE hosts SET waiting = waiting - 1 WHERE id = old.host_id;
END;
CREATE TRIGGER jobs_wait_on AFTER UPDATE OF state, phase ON jobs
WHEN (new.state = 'available' AND new.phase = 'fetch') <> (old.state = 'available' AND old.phase = 'fetch') BEGIN
  UPDATE hosts SET waiting = waiting + CASE WHEN new.state = 'available' AND new.phase = 'fetch' THEN 1 ELSE -1 END
  WHERE id = new.host_id;
END;

-- How many jobs of an inbox are still to be fetched, by state, and how many lines of a drop-file were refused.
CREATE TABLE url_counts (
  inbox TEXT NOT NULL,
  kind TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (inbox, kind)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER urls_counted_in AFTER INSERT ON jobs WHEN new.phase = 'fetch' BEGIN
  INSERT OR IGNORE INTO url_counts VALUES (new.inbox, new.state, 0);
  UPDATE url_counts SET count = count + 1 WHERE inbox = new.inbox AND kind = new.state;
END;
CREATE TRIGGER urls_counted_out AFTER DELETE ON jobs WHEN old.phase = 'fetch' BEGIN
  UPDATE url_counts SET count = count - 1 WHERE inbox = old.inbox AND kind = old.state;
END;
CREATE TRIGGER urls_counted_on AFTER UPDATE OF state, phase ON jobs
WHEN (new.phase = 'fetch' OR old.phase = 'fetch') AND (new.state <> old.state OR new.phase <> old.phase) BEGIN
  UPDATE url_counts SET count = count - 1 WHERE old.phase = 'fetch' AND inbox = old.inbox AND kind = old.state;
  INSERT OR IGNORE INTO url_counts SELECT new.inbox, new.state, 0 WHERE new.phase = 'fetch';
  UPDATE url_counts SET count = count + 1 WHERE new.phase = 'fetch' AND inbox = new.inbox AND kind = new.state;
END;

-- What a URL's job asks for and, once it was fetched, where it came from.
CREATE TABLE downloads (
  job_id INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
  -- As it was given, credentials included; only the canonical one is ever shown.
  url TEXT NOT NULL,
  canonical TEXT NOT NULL,
  hint TEXT NOT NULL DEFAULT '',
  directory TEXT NOT NULL DEFAULT '',
  expected_size_bytes INTEGER,
  expected_type TEXT NOT NULL DEFAULT '',
  expected_sha256 TEXT NOT NULL DEFAULT '',
  final_url TEXT NOT NULL DEFAULT '',
  chain TEXT NOT NULL DEFAULT '[]',
  address TEXT NOT NULL DEFAULT '',
  status INTEGER NOT NULL DEFAULT 0,
  etag TEXT NOT NULL DEFAULT '',
  last_modified TEXT NOT NULL DEFAULT '',
  content_type TEXT NOT NULL DEFAULT '',
  http_version TEXT NOT NULL DEFAULT '',
  size_bytes INTEGER NOT NULL DEFAULT 0,
  sha256 TEXT NOT NULL DEFAULT '',
  started_at_ms INTEGER NOT NULL DEFAULT 0,
  ended_at_ms INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX downloads_by_url ON downloads (canonical);

-- How far a drop-file has been read, and which file that was: committed together with the jobs of its lines.
CREATE TABLE dropfiles (
  name TEXT PRIMARY KEY,
  path BLOB NOT NULL,
  dev INTEGER NOT NULL,
  ino INTEGER NOT NULL,
  offset_bytes INTEGER NOT NULL,
  line INTEGER NOT NULL,
  -- Where the offset stands in a line; model.tailing.Midline.
  midline INTEGER NOT NULL,
  head_bytes INTEGER NOT NULL,
  head_sha256 TEXT NOT NULL,
  tail_sha256 TEXT NOT NULL,
  generation INTEGER NOT NULL,
  -- Size of the results file after what was told last.
  results_bytes INTEGER NOT NULL DEFAULT 0,
  seen_at_ms INTEGER NOT NULL
) STRICT;

-- Each line that asks for something, and the job that answers it. generation: which file of that name it stood in.
CREATE TABLE lines (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  dropfile TEXT NOT NULL,
  generation INTEGER NOT NULL,
  -- Where it begins in the file. Two may bear one number: what was written behind a line that had no newline.
  offset_bytes INTEGER NOT NULL,
  line INTEGER NOT NULL,
  url TEXT NOT NULL,
  label TEXT NOT NULL DEFAULT '',
  taken_at_ms INTEGER NOT NULL,
  job_id INTEGER REFERENCES jobs ON DELETE CASCADE,
  -- Whether this line made the job; others ask for the same URL.
  made INTEGER NOT NULL DEFAULT 0,
  reason TEXT,
  detail TEXT NOT NULL DEFAULT '',
  ended INTEGER NOT NULL DEFAULT 0,
  told INTEGER NOT NULL DEFAULT 0,
  CHECK (job_id IS NOT NULL OR reason IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX lines_once ON lines (dropfile, generation, offset_bytes);
CREATE INDEX lines_by_job ON lines (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX lines_to_tell ON lines (dropfile, id) WHERE ended = 1 AND told = 0;
CREATE TRIGGER lines_end AFTER UPDATE OF state ON jobs
WHEN new.host_id IS NOT NULL AND new.state IN ('completed', 'discarded', 'cancelled') AND new.state <> old.state BEGIN
  UPDATE lines SET ended = 1 WHERE job_id = new.id;
END;
CREATE TRIGGER lines_refused AFTER INSERT ON lines WHEN new.job_id IS NULL BEGIN
  -- The name of a list that was dropped into an inbox has that of the inbox before a slash.
  INSERT OR IGNORE INTO url_counts VALUES (substr(new.dropfile, 1, instr(new.dropfile || '/', '/') - 1), 'refused', 0);
  UPDATE url_counts SET count = count + 1
  WHERE inbox = substr(new.dropfile, 1, instr(new.dropfile || '/', '/') - 1) AND kind = 'refused';
END;
-- A job that is taken up again has another end, which is told too.
CREATE TRIGGER lines_go_on AFTER UPDATE OF state ON jobs
WHEN new.host_id IS NOT NULL AND old.state IN ('completed', 'discarded', 'cancelled') AND new.state <> old.state BEGIN
  UPDATE lines SET ended = 0, told = 0 WHERE job_id = new.id;
END;

-- Originals that may go: everything their job published is visible, and so is what a duplicate leans on (PROTOCOL 10).
-- What was visible and is taken away or done over since does not hold back a move, which may have begun; it does hold
-- back a deletion. disposal_owed.sql says the same of what is never due.
CREATE VIEW disposals_free AS
SELECT d.* FROM disposals AS d
WHERE d.state = 'owed'
  AND NOT EXISTS (
    SELECT 1 FROM publications AS p WHERE p.job_id = d.job_id AND (
      p.state = 'owed' OR (p.state = 'failed' AND (p.visible_at_ms IS NULL OR d.disposition = 'delete'))))
  AND NOT EXISTS (
    SELECT 1 FROM publications AS p JOIN publications AS n ON n.job_id = p.retired_by
    WHERE p.job_id = d.job_id AND p.state = 'retiring' AND (
      n.state = 'owed' OR (n.state = 'failed' AND (p.visible_at_ms IS NULL OR d.disposition = 'delete'))))
  AND (d.anchor_image_id IS NULL OR NOT EXISTS (
    SELECT 1 FROM publications AS p WHERE p.image_id = d.anchor_image_id AND p.state = 'owed'));
