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
-- The number of an image that is forgotten is never given to another one, which an index would take for known.
UPDATE sqlite_schema SET sql = replace(sql, 'id INTEGER PRIMARY KEY,', 'id INTEGER PRIMARY KEY AUTOINCREMENT,')
WHERE type = 'table' AND name = 'images';
PRAGMA writable_schema = RESET;
INSERT INTO sqlite_sequence (name, seq) SELECT 'images', max(id) FROM images HAVING max(id) IS NOT NULL;

-- What a decided picture resembles and what was done about it (store/alike.py: Resemblance as JSON); empty for nothing.
ALTER TABLE jobs ADD COLUMN resemblance TEXT NOT NULL DEFAULT '';

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
  -- How many scans of an inbox in a row did not find it; of two it counts as gone, until it is there again.
  missing_scans INTEGER NOT NULL DEFAULT 0,
  UNIQUE (root_id, rel)
) STRICT;
CREATE INDEX holdings_missing ON holdings (id) WHERE missing_scans > 0;
CREATE INDEX holdings_by_image ON holdings (image_id);
CREATE INDEX holdings_by_job ON holdings (job_id) WHERE job_id IS NOT NULL;

-- Of URLs a version is remembered under its canonical URL, where no file is: host_id says so. A duplicate's version has the
-- image that it leans on; its file holds the image of its own bytes. What conflicts is spelt out: a statement that fires a
-- trigger imposes its own ON CONFLICT on an OR REPLACE in it (https://www.sqlite.org/lang_createtrigger.html).
CREATE TRIGGER holdings_in AFTER INSERT ON versions WHEN new.kept = 1 BEGIN
  INSERT INTO holdings (image_id, root_id, rel, ino, size_bytes, mtime_ns, job_id, seen_at_ms)
  SELECT coalesce((SELECT id FROM images WHERE sha256 = new.sha256), new.image_id), new.root_id, new.rel, new.ino,
    new.size_bytes, new.mtime_ns, new.job_id, new.decided_at_ms
  WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE id = new.job_id AND host_id IS NOT NULL)
  ON CONFLICT (root_id, rel) DO UPDATE SET image_id = excluded.image_id, ino = excluded.ino,
    size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns, job_id = excluded.job_id,
    seen_at_ms = excluded.seen_at_ms;
END;
CREATE TRIGGER holdings_on AFTER UPDATE ON versions BEGIN
  DELETE FROM holdings WHERE root_id = old.root_id AND rel = old.rel AND new.kept = 0
    AND image_id = coalesce((SELECT id FROM images WHERE sha256 = old.sha256), old.image_id);
  INSERT INTO holdings (image_id, root_id, rel, ino, size_bytes, mtime_ns, job_id, seen_at_ms)
  SELECT coalesce((SELECT id FROM images WHERE sha256 = new.sha256), new.image_id), new.root_id, new.rel, new.ino,
    new.size_bytes, new.mtime_ns, new.job_id, new.decided_at_ms
  WHERE new.kept = 1 AND (old.kept = 0 OR new.ino <> old.ino OR new.mtime_ns <> old.mtime_ns OR new.image_id <> old.image_id)
    AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = new.job_id AND host_id IS NOT NULL)
  ON CONFLICT (root_id, rel) DO UPDATE SET image_id = excluded.image_id, ino = excluded.ino,
    size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns, job_id = excluded.job_id,
    seen_at_ms = excluded.seen_at_ms;
END;
CREATE TRIGGER holdings_out AFTER DELETE ON versions BEGIN
  DELETE FROM holdings WHERE root_id = old.root_id AND rel = old.rel
    AND image_id = coalesce((SELECT id FROM images WHERE sha256 = old.sha256), old.image_id);
END;
-- Only what was moved stands under its target; quarantined originals have no image.
CREATE TRIGGER holdings_moved AFTER UPDATE OF state ON disposals
WHEN new.state = 'done' AND old.state = 'owed' AND new.target_name IS NOT NULL AND new.disposition <> 'delete' BEGIN
  INSERT INTO holdings (image_id, root_id, rel, ino, size_bytes, mtime_ns, job_id, seen_at_ms)
  SELECT i.id, new.target_root_id, new.target_name, new.ino, new.size_bytes, new.mtime_ns, new.job_id, new.done_at_ms
  FROM images AS i WHERE i.sha256 = new.sha256 AND new.result = 'moved'
  ON CONFLICT (root_id, rel) DO UPDATE SET image_id = excluded.image_id, ino = excluded.ino,
    size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns, job_id = excluded.job_id,
    seen_at_ms = excluded.seen_at_ms;
END;

-- Images whose neighbours are not known yet: committed while the index was not there, indexed in lots, or hashed anew.
CREATE TABLE uncompared (
  image_id INTEGER PRIMARY KEY REFERENCES images ON DELETE CASCADE
) STRICT;

-- Images that were removed or have other hashes now: the index of hashes follows this, and what is added, by itself.
CREATE TABLE hash_changes (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  image_id INTEGER NOT NULL
) STRICT;
CREATE TRIGGER hashes_changed AFTER UPDATE OF phash, dhash ON images
WHEN new.phash <> old.phash OR new.dhash <> old.dhash BEGIN
  INSERT INTO hash_changes (image_id) VALUES (new.id);
END;
CREATE TRIGGER hashes_gone AFTER DELETE ON images BEGIN
  INSERT INTO hash_changes (image_id) VALUES (old.id);
END;

-- Two images that resemble each other within the widest thresholds that can be chosen, a < b.
-- how: 'coded' same coded image; 'hash' by phash and dhash; 'pixels' flat, same pixels in full; 'turned' and 'window', one
-- being like a part of the other: the loose ways. relation: '' until pixels were compared, then a word of
-- model.resemblance.Relation; a 'window' is none before that, but a candidate.
CREATE TABLE pairs (
  a INTEGER NOT NULL REFERENCES images ON DELETE CASCADE,
  b INTEGER NOT NULL REFERENCES images ON DELETE CASCADE,
  how TEXT NOT NULL CHECK (how IN ('coded', 'hash', 'pixels', 'turned', 'window')),
  phash_distance INTEGER NOT NULL,
  dhash_distance INTEGER NOT NULL,
  phash256_distance INTEGER NOT NULL,
  relation TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (a, b)
) STRICT, WITHOUT ROWID;
CREATE INDEX pairs_of_b ON pairs (b, a);
-- Flat pictures whose hashes agree: a pair in force only once their pixels are known to be the same ('identical').
CREATE INDEX pairs_to_prove ON pairs (a, b) WHERE how = 'pixels' AND relation = '';

-- Hashes of parts of an image, where what was cut is looked for too. hashes: 48 bytes for each part, which are its phash and
-- dhash (64 bits each, little endian) and its larger phash. The seq grows with each that is put, so that the index follows.
CREATE TABLE windows (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  image_id INTEGER NOT NULL UNIQUE REFERENCES images ON DELETE CASCADE,
  version INTEGER NOT NULL,
  hashes BLOB NOT NULL
) STRICT;

-- Two images, a < b, of which one is like a part of the other by its hashes: a pair once their pixels bear that out.
-- reason: why they could not be compared.
CREATE TABLE candidates (
  a INTEGER NOT NULL REFERENCES images ON DELETE CASCADE,
  b INTEGER NOT NULL REFERENCES images ON DELETE CASCADE,
  reason TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (a, b)
) STRICT, WITHOUT ROWID;
CREATE INDEX candidates_of_b ON candidates (b);
CREATE INDEX candidates_open ON candidates (a, b) WHERE reason = '';

-- What was measured on an image's own pixels, once it was first met in a group: model.resemblance.Evidence as JSON.
-- reason: why it could not be measured.
CREATE TABLE evidence (
  image_id INTEGER PRIMARY KEY REFERENCES images ON DELETE CASCADE,
  version INTEGER NOT NULL,
  evidence TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  measured_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX evidence_missing ON evidence (reason) WHERE reason <> '';

-- Images to be measured: they are in a group, or have to prove that their pixels are another's.
CREATE TABLE unmeasured (
  image_id INTEGER PRIMARY KEY REFERENCES images ON DELETE CASCADE
) STRICT;

-- Images whose groups have to be drawn anew. The id grows with each wish, so that whoever has drawn them takes away only
-- the wishes that he saw; hence DELETE and INSERT, for an OR REPLACE in a trigger gives way to the conflict clause of the
-- statement that fires it, such as the ABORT of an upsert (https://www.sqlite.org/lang_createtrigger.html).
CREATE TABLE regroup (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  image_id INTEGER NOT NULL UNIQUE
) STRICT;
-- A row that another one replaces goes without a trigger of its own.
CREATE TRIGGER regroup_holding_before BEFORE INSERT ON holdings BEGIN
  DELETE FROM regroup WHERE image_id IN (SELECT image_id FROM holdings WHERE root_id = new.root_id AND rel = new.rel);
  INSERT INTO regroup (image_id) SELECT image_id FROM holdings WHERE root_id = new.root_id AND rel = new.rel;
END;
CREATE TRIGGER regroup_holding_in AFTER INSERT ON holdings BEGIN
  DELETE FROM regroup WHERE image_id = new.image_id;
  INSERT INTO regroup (image_id) VALUES (new.image_id);
  -- What could not be read elsewhere may be readable here.
  DELETE FROM evidence WHERE image_id = new.image_id AND reason <> '';
END;
CREATE TRIGGER regroup_holding_on AFTER UPDATE OF image_id, root_id, rel, missing_scans ON holdings BEGIN
  DELETE FROM regroup WHERE image_id IN (old.image_id, new.image_id);
  INSERT INTO regroup (image_id) SELECT old.image_id UNION SELECT new.image_id;
END;
CREATE TRIGGER regroup_holding_out AFTER DELETE ON holdings BEGIN
  DELETE FROM regroup WHERE image_id = old.image_id;
  INSERT INTO regroup (image_id) VALUES (old.image_id);
END;
CREATE TRIGGER regroup_pair_in AFTER INSERT ON pairs BEGIN
  DELETE FROM regroup WHERE image_id IN (new.a, new.b);
  INSERT INTO regroup (image_id) SELECT new.a UNION SELECT new.b;
END;
CREATE TRIGGER regroup_pair_on AFTER UPDATE ON pairs BEGIN
  DELETE FROM regroup WHERE image_id IN (new.a, new.b);
  INSERT INTO regroup (image_id) SELECT new.a UNION SELECT new.b;
END;
CREATE TRIGGER regroup_pair_out AFTER DELETE ON pairs BEGIN
  DELETE FROM regroup WHERE image_id IN (old.a, old.b);
  INSERT INTO regroup (image_id) SELECT old.a UNION SELECT old.b;
END;
CREATE TRIGGER regroup_evidence_in AFTER INSERT ON evidence BEGIN
  DELETE FROM regroup WHERE image_id = new.image_id;
  INSERT INTO regroup (image_id) VALUES (new.image_id);
END;
CREATE TRIGGER regroup_evidence_on AFTER UPDATE ON evidence BEGIN
  DELETE FROM regroup WHERE image_id = new.image_id;
  INSERT INTO regroup (image_id) VALUES (new.image_id);
END;

-- By which rules (thresholds, tiers, keeper) the groups are drawn, and, while they are drawn anew by others, after which
-- image to go on with wishing for it; NULL once all are wished for.
CREATE TABLE drawing (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  rules TEXT NOT NULL,
  min_texture REAL NOT NULL,
  after_image_id INTEGER
) STRICT;

-- A group is a star: each member resembles the keeper, never one another by way of a third.
CREATE TABLE groups (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  keeper_holding_id INTEGER NOT NULL,
  keeper_image_id INTEGER NOT NULL,
  -- Of the member that resembles the keeper least.
  tier TEXT NOT NULL CHECK (tier IN ('exact', 'near', 'similar', 'loose')),
  relation TEXT NOT NULL DEFAULT '',
  -- The largest of a member from the keeper.
  phash_distance INTEGER NOT NULL,
  members INTEGER NOT NULL,
  reclaimable_bytes INTEGER NOT NULL,
  -- Whether a person named the keeper.
  chosen INTEGER NOT NULL DEFAULT 0,
  -- Why it is the keeper: JSON list of sentences.
  reasons TEXT NOT NULL DEFAULT '[]',
  -- The roots of its files, each between commas, as in ',1,12,'.
  roots TEXT NOT NULL DEFAULT '',
  -- The ids of its images in order, each between commas, once for each file.
  roster TEXT NOT NULL DEFAULT '',
  -- 'settled': a person said "keep both".
  state TEXT NOT NULL CHECK (state IN ('open', 'settled')) DEFAULT 'open',
  changed_at_ms INTEGER NOT NULL
) STRICT;
-- Under which id a group went whose keeper this file was: it goes under that again where the same images come together anew,
-- as after an undo; never with others, of which whoever remembers the id knows nothing.
CREATE TABLE former_groups (
  keeper_holding_id INTEGER PRIMARY KEY,
  group_id INTEGER NOT NULL,
  roster TEXT NOT NULL
) STRICT;
CREATE TRIGGER groups_gone AFTER DELETE ON groups BEGIN
  DELETE FROM former_groups WHERE keeper_holding_id = old.keeper_holding_id;
  INSERT INTO former_groups (keeper_holding_id, group_id, roster) VALUES (old.keeper_holding_id, old.id, old.roster);
END;
CREATE INDEX groups_by_gain ON groups (state, reclaimable_bytes DESC, id);
CREATE INDEX groups_by_likeness ON groups (state, phash_distance, id);
CREATE INDEX groups_by_age ON groups (state, changed_at_ms DESC, id);
CREATE INDEX groups_by_kind ON groups (state, tier, relation, phash_distance, roots);

-- How many groups there are of a kind, and what they would give back: a count over all of them is too slow to ask often.
CREATE TABLE group_counts (
  state TEXT NOT NULL,
  tier TEXT NOT NULL,
  relation TEXT NOT NULL,
  phash_distance INTEGER NOT NULL,
  roots TEXT NOT NULL,
  groups INTEGER NOT NULL,
  members INTEGER NOT NULL,
  reclaimable_bytes INTEGER NOT NULL,
  PRIMARY KEY (state, tier, relation, phash_distance, roots)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER group_counts_in AFTER INSERT ON groups BEGIN
  INSERT INTO group_counts
  VALUES (new.state, new.tier, new.relation, new.phash_distance, new.roots, 1, new.members, new.reclaimable_bytes)
  ON CONFLICT DO UPDATE SET groups = groups + 1, members = members + excluded.members,
    reclaimable_bytes = reclaimable_bytes + excluded.reclaimable_bytes;
END;
CREATE TRIGGER group_counts_out AFTER DELETE ON groups BEGIN
  UPDATE group_counts SET groups = groups - 1, members = members - old.members,
    reclaimable_bytes = reclaimable_bytes - old.reclaimable_bytes
  WHERE state = old.state AND tier = old.tier AND relation = old.relation AND phash_distance = old.phash_distance
    AND roots = old.roots;
END;
CREATE TRIGGER group_counts_on AFTER UPDATE ON groups BEGIN
  UPDATE group_counts SET groups = groups - 1, members = members - old.members,
    reclaimable_bytes = reclaimable_bytes - old.reclaimable_bytes
  WHERE state = old.state AND tier = old.tier AND relation = old.relation AND phash_distance = old.phash_distance
    AND roots = old.roots;
  INSERT INTO group_counts
  VALUES (new.state, new.tier, new.relation, new.phash_distance, new.roots, 1, new.members, new.reclaimable_bytes)
  ON CONFLICT DO UPDATE SET groups = groups + 1, members = members + excluded.members,
    reclaimable_bytes = reclaimable_bytes + excluded.reclaimable_bytes;
END;

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
-- Members whose pixels are still to be compared with their keeper's.
CREATE INDEX members_to_compare ON members (group_id, holding_id) WHERE relation = '';

-- What a person decided, by content: it outlives scans, moves, renames and other thresholds. Of a pair, sha256_a is the
-- smaller (both are the same where two files have the same bytes); of 'keeper' sha256_b is empty. Several batches may say
-- the same, so that undoing one takes back nothing of another; of several keepers the latest holds.
CREATE TABLE judgements (
  sha256_a TEXT NOT NULL,
  sha256_b TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('different', 'both', 'keeper')),
  batch_id INTEGER NOT NULL,
  decided_at_ms INTEGER NOT NULL,
  PRIMARY KEY (sha256_a, sha256_b, kind, batch_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX judgements_by_batch ON judgements (batch_id);
CREATE INDEX judgements_by_other ON judgements (sha256_b) WHERE sha256_b <> '';
CREATE TRIGGER regroup_judgement_in AFTER INSERT ON judgements BEGIN
  DELETE FROM regroup WHERE image_id IN (SELECT id FROM images WHERE sha256 IN (new.sha256_a, new.sha256_b));
  INSERT INTO regroup (image_id) SELECT id FROM images WHERE sha256 IN (new.sha256_a, new.sha256_b);
END;
CREATE TRIGGER regroup_judgement_on AFTER UPDATE ON judgements BEGIN
  DELETE FROM regroup WHERE image_id IN (SELECT id FROM images WHERE sha256 IN (new.sha256_a, new.sha256_b));
  INSERT INTO regroup (image_id) SELECT id FROM images WHERE sha256 IN (new.sha256_a, new.sha256_b);
END;
CREATE TRIGGER regroup_judgement_out AFTER DELETE ON judgements BEGIN
  DELETE FROM regroup WHERE image_id IN (SELECT id FROM images WHERE sha256 IN (old.sha256_a, old.sha256_b));
  INSERT INTO regroup (image_id) SELECT id FROM images WHERE sha256 IN (old.sha256_a, old.sha256_b);
END;

-- For finding what was hashed by an earlier recipe.
CREATE INDEX images_by_version ON images (fingerprint_version, id);

-- Runs of "dropmill index" over libraries.
CREATE TABLE scans (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  -- JSON list of paths, as text with surrogate escapes; an empty one with rehash: all that is catalogued.
  folders TEXT NOT NULL,
  rehash INTEGER NOT NULL DEFAULT 0,
  workers INTEGER NOT NULL DEFAULT 0,
  -- Who carries it out: a scan of a daemon is taken up again by the next one.
  by TEXT NOT NULL CHECK (by IN ('daemon', 'command')),
  state TEXT NOT NULL CHECK (state IN ('running', 'done', 'cancelled', 'failed')),
  files INTEGER NOT NULL DEFAULT 0,
  total_files INTEGER NOT NULL DEFAULT 0,
  unchanged INTEGER NOT NULL DEFAULT 0,
  indexed INTEGER NOT NULL DEFAULT 0,
  ignored INTEGER NOT NULL DEFAULT 0,
  refused INTEGER NOT NULL DEFAULT 0,
  vanished INTEGER NOT NULL DEFAULT 0,
  read_bytes INTEGER NOT NULL DEFAULT 0,
  total_bytes INTEGER NOT NULL DEFAULT 0,
  -- JSON: {reasons: {reason: files}, notes: [text]}.
  told TEXT NOT NULL DEFAULT '{}',
  detail TEXT NOT NULL DEFAULT '',
  started_at_ms INTEGER NOT NULL,
  ended_at_ms INTEGER
) STRICT;
CREATE INDEX scans_running ON scans (id) WHERE state = 'running';

-- Mount points that a scan met below a library: where one is no mount any more, its disk is away, and nothing is missing.
CREATE TABLE library_mounts (
  root_id INTEGER NOT NULL REFERENCES roots,
  rel BLOB NOT NULL,
  PRIMARY KEY (root_id, rel)
) STRICT, WITHOUT ROWID;

-- Files of libraries that cannot be catalogued; not read again while they stay as they are.
CREATE TABLE refusals (
  root_id INTEGER NOT NULL REFERENCES roots,
  rel BLOB NOT NULL,
  ino INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  reason TEXT NOT NULL,
  detail TEXT NOT NULL DEFAULT '',
  -- 1 for what is no picture by name and content, 0 for what should be one.
  ignored INTEGER NOT NULL,
  -- Under which limits and codecs it was refused; empty where no others would help.
  rules TEXT NOT NULL DEFAULT '',
  seen_at_ms INTEGER NOT NULL,
  PRIMARY KEY (root_id, rel)
) STRICT, WITHOUT ROWID;

-- What a person had done to files in one go, and how to take it back. 'planning': its deeds are being written down, and
-- nothing was touched yet.
CREATE TABLE batches (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  action TEXT NOT NULL CHECK (action IN ('keep', 'move', 'delete', 'link', 'dismiss')),
  state TEXT NOT NULL CHECK (state IN ('planning', 'doing', 'done', 'undoing', 'undone')),
  permanent INTEGER NOT NULL DEFAULT 0,
  groups INTEGER NOT NULL DEFAULT 0,
  -- Counted when it ended: what was done, left as it was, and taken back, and the bytes of what was done.
  done INTEGER NOT NULL DEFAULT 0,
  skipped INTEGER NOT NULL DEFAULT 0,
  undone INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0,
  created_at_ms INTEGER NOT NULL,
  ended_at_ms INTEGER,
  detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX batches_under_way ON batches (id) WHERE state IN ('planning', 'doing', 'undoing');

-- One file of a batch. Written before anything is touched; 'begun' says that the file may be on its way.
CREATE TABLE deeds (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  batch_id INTEGER NOT NULL REFERENCES batches,
  group_id INTEGER NOT NULL,
  action TEXT NOT NULL CHECK (action IN ('move', 'delete', 'link')),
  holding_id INTEGER NOT NULL,
  image_id INTEGER NOT NULL,
  -- The job that brought the file; none for a library.
  job_id INTEGER,
  sha256 TEXT NOT NULL,
  root_id INTEGER NOT NULL REFERENCES roots,
  rel BLOB NOT NULL,
  size_bytes INTEGER NOT NULL,
  -- What stays instead: its bytes are compared again before anything is done.
  keeper_root_id INTEGER NOT NULL REFERENCES roots,
  keeper_rel BLOB NOT NULL,
  keeper_sha256 TEXT NOT NULL,
  -- Below root_id, on the file's own file system: where it passes on its way, and is kept until it is purged.
  aside_name BLOB,
  -- Of a move.
  target_root_id INTEGER REFERENCES roots,
  target_name BLOB,
  -- Of the file that is kept aside or was moved, and of the link that took its place; 0 before.
  ino INTEGER NOT NULL DEFAULT 0,
  link_ino INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL CHECK (state IN ('owed', 'begun', 'done', 'skipped', 'undone', 'purged')),
  -- Why it was skipped, or could not be taken back, and what to do about it.
  detail TEXT NOT NULL DEFAULT '',
  hint TEXT NOT NULL DEFAULT '',
  done_at_ms INTEGER,
  purge_at_ms INTEGER
) STRICT;
CREATE INDEX deeds_of_batch ON deeds (batch_id, state);
CREATE INDEX deeds_to_purge ON deeds (purge_at_ms) WHERE state = 'done' AND purge_at_ms IS NOT NULL;
CREATE INDEX deeds_begun ON deeds (root_id, rel) WHERE state = 'begun';
CREATE INDEX deeds_by_path ON deeds (root_id, rel);
CREATE INDEX deeds_by_target ON deeds (target_root_id, target_name) WHERE target_root_id IS NOT NULL;

-- What was changed at runtime, over the configuration: JSON values.
CREATE TABLE preferences (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  changed_at_ms INTEGER NOT NULL
) STRICT;

-- What an earlier version has catalogued.
INSERT OR REPLACE INTO holdings (image_id, root_id, rel, ino, size_bytes, mtime_ns, job_id, seen_at_ms)
SELECT image_id, root_id, rel, ino, size_bytes, mtime_ns, job_id, decided_at_ms FROM versions AS v
-- A copy with other metadata had no image of its own then.
WHERE kept = 1 AND EXISTS (SELECT 1 FROM images WHERE id = v.image_id AND sha256 = v.sha256)
  AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = v.job_id AND host_id IS NOT NULL)
ORDER BY decided_at_ms;
INSERT OR REPLACE INTO holdings (image_id, root_id, rel, ino, size_bytes, mtime_ns, job_id, seen_at_ms)
SELECT i.id, d.target_root_id, d.target_name, d.ino, d.size_bytes, d.mtime_ns, d.job_id, d.done_at_ms
FROM disposals AS d JOIN images AS i ON i.sha256 = d.sha256
WHERE d.state = 'done' AND d.result = 'moved' AND d.target_name IS NOT NULL AND d.disposition <> 'delete';
INSERT INTO uncompared SELECT id FROM images;
