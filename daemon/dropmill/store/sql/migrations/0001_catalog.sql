-- Paths are relative to a named root and kept as bytes, so state and folders can move and any name fits.
-- Times are milliseconds since 1970 UTC. 64-bit unsigned numbers (inodes, devices, hashes) are stored as signed.
CREATE TABLE boots (
  id TEXT PRIMARY KEY,
  pid INTEGER NOT NULL,
  version TEXT NOT NULL,
  started_at_ms INTEGER NOT NULL,
  ended_at_ms INTEGER
) STRICT;

-- An output is named by the uuid in its staging directory, every other root by its inbox.
CREATE TABLE roots (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('inbox', 'output', 'archive', 'duplicates', 'quarantine')),
  name TEXT NOT NULL,
  path BLOB NOT NULL,
  -- Which directory it is (device and inode), and since when: what was seen on another one is not missing from this.
  identity TEXT NOT NULL DEFAULT '',
  since_ms INTEGER NOT NULL DEFAULT 0,
  UNIQUE (kind, name)
) STRICT;

-- What each picture's bytes are and look like, once per SHA-256.
CREATE TABLE images (
  id INTEGER PRIMARY KEY,
  sha256 TEXT NOT NULL UNIQUE,
  coded_sha256 TEXT NOT NULL,
  fingerprint_version INTEGER NOT NULL,
  phash INTEGER NOT NULL,
  dhash INTEGER NOT NULL,
  ahash INTEGER NOT NULL,
  phash256 TEXT NOT NULL,
  texture REAL NOT NULL,
  format TEXT NOT NULL,
  width INTEGER NOT NULL,
  height INTEGER NOT NULL,
  mode TEXT NOT NULL,
  frames INTEGER NOT NULL,
  pages_dropped INTEGER NOT NULL,
  orientation INTEGER NOT NULL,
  icc TEXT NOT NULL,
  captured_at TEXT NOT NULL,
  copyright TEXT NOT NULL,
  camera TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  created_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX images_by_coded_image ON images (coded_sha256);

CREATE TABLE jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  root_id INTEGER NOT NULL REFERENCES roots,
  inbox TEXT NOT NULL,
  rel BLOB NOT NULL,
  dev INTEGER NOT NULL,
  ino INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  ctime_ns INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('scheduled', 'available', 'executing', 'completed', 'discarded', 'cancelled')),
  outcome TEXT CHECK (outcome IN ('published', 'duplicate', 'unchanged', 'moved', 'superseded')),
  reason TEXT,
  detail TEXT NOT NULL DEFAULT '',
  priority INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 5),
  rank_ms INTEGER NOT NULL,
  label TEXT NOT NULL DEFAULT '',
  found_by TEXT NOT NULL,
  epoch INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  crashes INTEGER NOT NULL DEFAULT 0,
  interruptions INTEGER NOT NULL DEFAULT 0,
  alone INTEGER NOT NULL DEFAULT 0,
  owner TEXT REFERENCES boots,
  found_at_ms INTEGER NOT NULL,
  settled_at_ms INTEGER NOT NULL,
  enqueued_at_ms INTEGER NOT NULL,
  scheduled_at_ms INTEGER,
  started_at_ms INTEGER,
  finished_at_ms INTEGER,
  sha256 TEXT,
  image_id INTEGER REFERENCES images,
  duplicate_tier TEXT CHECK (duplicate_tier IN ('bytes', 'coded')),
  moved_from BLOB,
  reprocess_of INTEGER REFERENCES jobs ON DELETE SET NULL,
  read_root_id INTEGER REFERENCES roots,
  read_rel BLOB,
  CHECK ((state = 'completed') = (outcome IS NOT NULL)),
  CHECK (state <> 'discarded' OR reason IS NOT NULL),
  CHECK (state <> 'scheduled' OR scheduled_at_ms IS NOT NULL),
  CHECK (state <> 'executing' OR owner IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX jobs_one_active_per_version
  ON jobs (root_id, rel, dev, ino, size_bytes, mtime_ns, ctime_ns)
  WHERE state IN ('scheduled', 'available', 'executing');
CREATE INDEX jobs_to_claim ON jobs (inbox, rank_ms, id) WHERE state = 'available';
CREATE INDEX jobs_to_promote ON jobs (scheduled_at_ms) WHERE state = 'scheduled';
CREATE INDEX jobs_executing ON jobs (owner) WHERE state = 'executing';
CREATE INDEX jobs_finished ON jobs (finished_at_ms) WHERE state IN ('completed', 'discarded', 'cancelled');
CREATE INDEX jobs_by_path ON jobs (root_id, rel);
CREATE INDEX jobs_by_image ON jobs (image_id) WHERE image_id IS NOT NULL;
CREATE INDEX jobs_discarded ON jobs (finished_at_ms) WHERE state = 'discarded';
CREATE INDEX jobs_counted ON jobs (inbox, state, outcome);

CREATE TABLE attempts (
  job_id INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
  epoch INTEGER NOT NULL,
  boot TEXT NOT NULL,
  started_at_ms INTEGER NOT NULL,
  ended_at_ms INTEGER,
  result TEXT,
  detail TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (job_id, epoch)
) STRICT, WITHOUT ROWID;

-- The latest version seen of each path; what lets a scan pass over known files without a job.
CREATE TABLE sources (
  root_id INTEGER NOT NULL REFERENCES roots,
  rel BLOB NOT NULL,
  dev INTEGER NOT NULL,
  ino INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  ctime_ns INTEGER NOT NULL,
  verdict TEXT NOT NULL CHECK (verdict IN ('job', 'ignored')),
  reason TEXT,
  detail TEXT NOT NULL DEFAULT '',
  job_id INTEGER,
  seen_at_ms INTEGER NOT NULL,
  missing_scans INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (root_id, rel)
) STRICT, WITHOUT ROWID;

-- Every content that a path has held and that was decided. kept: our disposal did not take it away.
CREATE TABLE versions (
  root_id INTEGER NOT NULL REFERENCES roots,
  rel BLOB NOT NULL,
  sha256 TEXT NOT NULL,
  ino INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  image_id INTEGER NOT NULL REFERENCES images,
  job_id INTEGER NOT NULL,
  kept INTEGER NOT NULL,
  decided_at_ms INTEGER NOT NULL,
  PRIMARY KEY (root_id, rel, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX versions_by_content ON versions (sha256);
CREATE INDEX versions_by_image ON versions (image_id);

CREATE TABLE publications (
  id INTEGER PRIMARY KEY,
  job_id INTEGER NOT NULL,
  image_id INTEGER NOT NULL REFERENCES images,
  output_id INTEGER NOT NULL REFERENCES roots,
  recipe TEXT NOT NULL,
  rendition TEXT NOT NULL,
  page INTEGER NOT NULL,
  staged_name TEXT NOT NULL,
  ino INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  width INTEGER NOT NULL,
  height INTEGER NOT NULL,
  format TEXT NOT NULL,
  final_name BLOB NOT NULL,
  final_key TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('owed', 'visible', 'failed', 'retiring', 'retired')),
  ownership TEXT NOT NULL DEFAULT 'owned' CHECK (ownership IN ('owned', 'adopted')),
  -- Our own earlier rendition of this name, to be swapped out; and for a retiring one, the job that put it out.
  replaces INTEGER REFERENCES publications,
  retired_by INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0,
  next_attempt_at_ms INTEGER NOT NULL DEFAULT 0,
  detail TEXT NOT NULL DEFAULT '',
  visible_at_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX publications_one_per_name ON publications (output_id, final_key) WHERE state IN ('owed', 'visible');
CREATE INDEX publications_owed ON publications (job_id) WHERE state = 'owed';
CREATE INDEX publications_retiring ON publications (id) WHERE state = 'retiring';
CREATE INDEX publications_by_image ON publications (image_id, state);
CREATE INDEX publications_by_job ON publications (job_id);

CREATE TABLE disposals (
  id INTEGER PRIMARY KEY,
  job_id INTEGER NOT NULL,
  root_id INTEGER NOT NULL REFERENCES roots,
  rel BLOB NOT NULL,
  dev INTEGER NOT NULL,
  ino INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  ctime_ns INTEGER NOT NULL,
  sha256 TEXT,
  disposition TEXT NOT NULL CHECK (disposition IN ('archive', 'duplicates', 'quarantine', 'delete')),
  anchor_image_id INTEGER REFERENCES images,
  target_root_id INTEGER REFERENCES roots,
  target_name BLOB,
  state TEXT NOT NULL CHECK (state IN ('owed', 'done')),
  result TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT '',
  attempts INTEGER NOT NULL DEFAULT 0,
  next_attempt_at_ms INTEGER NOT NULL DEFAULT 0,
  done_at_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX disposals_one_owed_per_job ON disposals (job_id) WHERE state = 'owed';
CREATE INDEX disposals_owed ON disposals (next_attempt_at_ms) WHERE state = 'owed';
CREATE INDEX disposals_by_job ON disposals (job_id);
CREATE INDEX disposals_by_target ON disposals (target_root_id, target_name) WHERE target_name IS NOT NULL;

-- The outbox of notify: what is to be told once everything is visible.
CREATE TABLE notices (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('receipt')),
  job_id INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('owed', 'done')),
  attempts INTEGER NOT NULL DEFAULT 0,
  next_attempt_at_ms INTEGER NOT NULL DEFAULT 0,
  detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX notices_owed ON notices (job_id) WHERE state = 'owed';

-- '*' stands for all inboxes.
CREATE TABLE pauses (
  inbox TEXT PRIMARY KEY,
  since_ms INTEGER NOT NULL
) STRICT;
