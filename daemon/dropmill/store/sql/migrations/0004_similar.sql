-- Who resembles whom, which files hold a picture, and what a person decided about it.

-- Two more kinds of named folders, two more tiers of a duplicate. SQLite changes a CHECK only by a new text of the table
-- (https://www.sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema Changes").
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(
  sql, '''archive'', ''duplicates'', ''quarantine'')', '''archive'', ''duplicates'', ''quarantine'', ''library'', ''move'')'
) WHERE type = 'table' AND name = 'roots';
UPDATE sqlite_schema SET sql = replace(
  sql, 'duplicate_tier IN (''bytes'', ''coded'')', 'duplicate_tier IN (''bytes'', ''coded'', ''near'', ''similar'', ''loose'')'
) WHERE type = 'table' AND name = 'jobs';
PRAGMA writable_schema = RESET;

-- A file that holds a catalogued picture: an original in an inbox, archive or duplicates folder, or in a library.
-- Kept by triggers for what jobs decide, by store/scans.py for libraries and store/batches.py for what a person moves.
CREATE TABLE holdings (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  image_id INTEGER NOT NULL REFERENCES images,
  root_id INTEGER NOT NULL REFERENCES roots,
  rel BLOB NOT NULL,
  ino INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  -- The job that brought it; none for a library.
  job_id INTEGER,
  seen_at_ms INTEGER NOT NULL,
  UNIQUE (root_id, rel)
) STRICT;
CREATE INDEX holdings_by_image ON holdings (image_id);
CREATE INDEX holdings_by_job ON holdings (job_id) WHERE job_id IS NOT NULL;

-- Of URLs a version is remembered under its canonical URL, where no file is: host_id says so.
CREATE TRIGGER holdings_in AFTER INSERT ON versions WHEN new.kept = 1 BEGIN
  INSERT OR REPLACE INTO holdings (image_id, root_id, rel, ino, size_bytes, mtime_ns, job_id, seen_at_ms)
  SELECT new.image_id, new.root_id, new.rel, new.ino, new.size_bytes, new.mtime_ns, new.job_id, new.decided_at_ms
  WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE id = new.job_id AND host_id IS NOT NULL);
END;
CREATE TRIGGER holdings_on AFTER UPDATE ON versions BEGIN
  DELETE FROM holdings WHERE root_id = old.root_id AND rel = old.rel AND image_id = old.image_id AND new.kept = 0;
  INSERT OR REPLACE INTO holdings (image_id, root_id, rel, ino, size_bytes, mtime_ns, job_id, seen_at_ms)
  SELECT new.image_id, new.root_id, new.rel, new.ino, new.size_bytes, new.mtime_ns, new.job_id, new.decided_at_ms
  WHERE new.kept = 1 AND (old.kept = 0 OR new.ino <> old.ino OR new.mtime_ns <> old.mtime_ns OR new.image_id <> old.image_id)
    AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = new.job_id AND host_id IS NOT NULL);
END;
CREATE TRIGGER holdings_out AFTER DELETE ON versions BEGIN
  DELETE FROM holdings WHERE root_id = old.root_id AND rel = old.rel AND image_id = old.image_id;
END;
-- Only what was moved stands under its target; quarantined originals have no image.
CREATE TRIGGER holdings_moved AFTER UPDATE OF state ON disposals
WHEN new.state = 'done' AND old.state = 'owed' AND new.target_name IS NOT NULL AND new.disposition <> 'delete' BEGIN
  INSERT OR REPLACE INTO holdings (image_id, root_id, rel, ino, size_bytes, mtime_ns, job_id, seen_at_ms)
  SELECT i.id, new.target_root_id, new.target_name, new.ino, new.size_bytes, new.mtime_ns, new.job_id, new.done_at_ms
  FROM images AS i WHERE i.sha256 = new.sha256 AND new.result = 'moved';
END;

-- Images whose neighbours are not known yet: committed while the index was not there, indexed in lots, or hashed anew.
CREATE TABLE uncompared (
  image_id INTEGER PRIMARY KEY REFERENCES images ON DELETE CASCADE
) STRICT;

-- Two images that resemble each other within the widest thresholds that can be chosen, a < b.
-- how: 'coded' same coded image; 'hash' by phash and dhash; 'pixels' flat, same pixels in full; 'turned', 'trimmed',
-- 'window': the loose ways. relation: '' until pixels were compared, then a word of model.resemblance.Relation.
CREATE TABLE pairs (
  a INTEGER NOT NULL REFERENCES images ON DELETE CASCADE,
  b INTEGER NOT NULL REFERENCES images ON DELETE CASCADE,
  how TEXT NOT NULL CHECK (how IN ('coded', 'hash', 'pixels', 'turned', 'trimmed', 'window')),
  phash_distance INTEGER NOT NULL,
  dhash_distance INTEGER NOT NULL,
  phash256_distance INTEGER NOT NULL,
  relation TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (a, b)
) STRICT, WITHOUT ROWID;
CREATE INDEX pairs_of_b ON pairs (b, a);

-- What was measured on an image's own pixels, once it was first met in a group: model.resemblance.Evidence as JSON.
-- reason: why it could not be measured.
CREATE TABLE evidence (
  image_id INTEGER PRIMARY KEY REFERENCES images ON DELETE CASCADE,
  version INTEGER NOT NULL,
  evidence TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  measured_at_ms INTEGER NOT NULL
) STRICT;

-- Images whose groups have to be drawn anew.
CREATE TABLE regroup (
  image_id INTEGER PRIMARY KEY
) STRICT;
CREATE TRIGGER regroup_holding_in AFTER INSERT ON holdings BEGIN
  INSERT OR IGNORE INTO regroup VALUES (new.image_id);
END;
CREATE TRIGGER regroup_holding_out AFTER DELETE ON holdings BEGIN
  INSERT OR IGNORE INTO regroup VALUES (old.image_id);
END;
CREATE TRIGGER regroup_pair_in AFTER INSERT ON pairs BEGIN
  INSERT OR IGNORE INTO regroup VALUES (new.a), (new.b);
END;
CREATE TRIGGER regroup_pair_out AFTER DELETE ON pairs BEGIN
  INSERT OR IGNORE INTO regroup VALUES (old.a), (old.b);
END;

-- A group is a star: each member resembles the keeper, never one another by way of a third.
CREATE TABLE groups (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  keeper_holding_id INTEGER NOT NULL,
  -- Of the member that resembles the keeper least.
  tier TEXT NOT NULL CHECK (tier IN ('exact', 'near', 'similar', 'loose')),
  relation TEXT NOT NULL DEFAULT '',
  phash_distance INTEGER NOT NULL,
  members INTEGER NOT NULL,
  reclaimable_bytes INTEGER NOT NULL,
  -- Whether a person named the keeper.
  chosen INTEGER NOT NULL DEFAULT 0,
  -- Why it is the keeper: JSON list of sentences.
  reasons TEXT NOT NULL DEFAULT '[]',
  -- 'settled': a person said "keep both".
  state TEXT NOT NULL CHECK (state IN ('open', 'settled')) DEFAULT 'open',
  changed_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX groups_by_gain ON groups (state, reclaimable_bytes DESC, id);
CREATE INDEX groups_by_likeness ON groups (state, phash_distance, id);
CREATE INDEX groups_by_age ON groups (state, changed_at_ms DESC, id);

CREATE TABLE members (
  group_id INTEGER NOT NULL REFERENCES groups ON DELETE CASCADE,
  holding_id INTEGER NOT NULL,
  image_id INTEGER NOT NULL,
  tier TEXT NOT NULL CHECK (tier IN ('exact', 'near', 'similar', 'loose')),
  relation TEXT NOT NULL DEFAULT '',
  phash_distance INTEGER NOT NULL,
  dhash_distance INTEGER NOT NULL,
  phash256_distance INTEGER NOT NULL,
  PRIMARY KEY (group_id, holding_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX members_by_holding ON members (holding_id);
CREATE INDEX members_by_image ON members (image_id);

-- What a person decided, by content: it outlives scans, moves, renames and other thresholds. Of a pair, sha256_a is the
-- smaller; of 'keeper' sha256_b is empty.
CREATE TABLE judgements (
  sha256_a TEXT NOT NULL,
  sha256_b TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('different', 'both', 'keeper')),
  batch_id INTEGER,
  decided_at_ms INTEGER NOT NULL,
  PRIMARY KEY (sha256_a, sha256_b, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX judgements_by_other ON judgements (sha256_b) WHERE sha256_b <> '';

-- Runs of "dropmill index" over libraries.
CREATE TABLE scans (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  -- JSON list of paths, as text with surrogate escapes.
  folders TEXT NOT NULL,
  rehash INTEGER NOT NULL DEFAULT 0,
  workers INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL CHECK (state IN ('running', 'done', 'cancelled', 'failed')),
  files INTEGER NOT NULL DEFAULT 0,
  total_files INTEGER NOT NULL DEFAULT 0,
  unchanged INTEGER NOT NULL DEFAULT 0,
  indexed INTEGER NOT NULL DEFAULT 0,
  refused INTEGER NOT NULL DEFAULT 0,
  read_bytes INTEGER NOT NULL DEFAULT 0,
  total_bytes INTEGER NOT NULL DEFAULT 0,
  detail TEXT NOT NULL DEFAULT '',
  started_at_ms INTEGER NOT NULL,
  ended_at_ms INTEGER
) STRICT;
CREATE INDEX scans_running ON scans (id) WHERE state = 'running';

-- Files of libraries that cannot be catalogued; not read again while they stay as they are.
CREATE TABLE refusals (
  root_id INTEGER NOT NULL REFERENCES roots,
  rel BLOB NOT NULL,
  ino INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  reason TEXT NOT NULL,
  detail TEXT NOT NULL DEFAULT '',
  seen_at_ms INTEGER NOT NULL,
  PRIMARY KEY (root_id, rel)
) STRICT, WITHOUT ROWID;

-- What a person had done to files in one go, and how to take it back.
CREATE TABLE batches (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  action TEXT NOT NULL CHECK (action IN ('keep', 'move', 'delete', 'link', 'dismiss', 'forget')),
  state TEXT NOT NULL CHECK (state IN ('doing', 'done', 'undoing', 'undone')),
  permanent INTEGER NOT NULL DEFAULT 0,
  groups INTEGER NOT NULL DEFAULT 0,
  created_at_ms INTEGER NOT NULL,
  ended_at_ms INTEGER,
  detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX batches_under_way ON batches (id) WHERE state IN ('doing', 'undoing');

-- One file of a batch. Written before anything is touched; 'begun' says that the file may have its private name.
CREATE TABLE deeds (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  batch_id INTEGER NOT NULL REFERENCES batches,
  action TEXT NOT NULL CHECK (action IN ('move', 'delete', 'link')),
  holding_id INTEGER NOT NULL,
  image_id INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  root_id INTEGER NOT NULL REFERENCES roots,
  rel BLOB NOT NULL,
  dev INTEGER NOT NULL DEFAULT 0,
  ino INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  ctime_ns INTEGER NOT NULL DEFAULT 0,
  -- What stays instead: its bytes are compared again before anything is done.
  keeper_root_id INTEGER NOT NULL REFERENCES roots,
  keeper_rel BLOB NOT NULL,
  keeper_sha256 TEXT NOT NULL,
  -- Where the file is kept until it is purged (trash, and what a link replaced), or was moved to.
  target_root_id INTEGER REFERENCES roots,
  target_name BLOB,
  state TEXT NOT NULL CHECK (state IN ('owed', 'begun', 'done', 'skipped', 'undone', 'purged')),
  detail TEXT NOT NULL DEFAULT '',
  done_at_ms INTEGER,
  purge_at_ms INTEGER
) STRICT;
CREATE INDEX deeds_of_batch ON deeds (batch_id);
CREATE INDEX deeds_to_purge ON deeds (purge_at_ms) WHERE state = 'done' AND purge_at_ms IS NOT NULL;

-- What was changed at runtime, over the configuration: JSON values.
CREATE TABLE preferences (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  changed_at_ms INTEGER NOT NULL
) STRICT;

-- What an earlier version has catalogued.
INSERT OR REPLACE INTO holdings (image_id, root_id, rel, ino, size_bytes, mtime_ns, job_id, seen_at_ms)
SELECT image_id, root_id, rel, ino, size_bytes, mtime_ns, job_id, decided_at_ms FROM versions AS v
WHERE kept = 1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = v.job_id AND host_id IS NOT NULL)
ORDER BY decided_at_ms;
INSERT OR REPLACE INTO holdings (image_id, root_id, rel, ino, size_bytes, mtime_ns, job_id, seen_at_ms)
SELECT i.id, d.target_root_id, d.target_name, d.ino, d.size_bytes, d.mtime_ns, d.job_id, d.done_at_ms
FROM disposals AS d JOIN images AS i ON i.sha256 = d.sha256
WHERE d.state = 'done' AND d.result = 'moved' AND d.target_name IS NOT NULL AND d.disposition <> 'delete';
INSERT INTO uncompared SELECT id FROM images;
