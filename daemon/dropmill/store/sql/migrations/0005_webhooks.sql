-- Webhooks: applications that are told what became of pictures. An event is written down in the transaction that decides
-- it, whichever that is, and leaves once everybody who is to hear of it has.
CREATE TABLE webhooks (
  name TEXT PRIMARY KEY,
  -- Digest of its configuration: one that was disabled is tried again once that changes.
  configuration TEXT NOT NULL,
  -- Whether it is in the configuration. What is owed to one that is not waits for it to come back, for a while.
  configured INTEGER NOT NULL,
  -- Failures in a row, and until when it is left in peace for them.
  failures INTEGER NOT NULL DEFAULT 0,
  ready_at_ms INTEGER NOT NULL DEFAULT 0,
  disabled_at_ms INTEGER,
  -- What it answered last, where that was a failure.
  reason TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT '',
  delivered INTEGER NOT NULL DEFAULT 0,
  delivered_at_ms INTEGER
) STRICT;

CREATE TABLE webhook_wants (
  inbox TEXT NOT NULL,
  type TEXT NOT NULL,
  webhook TEXT NOT NULL REFERENCES webhooks ON DELETE CASCADE,
  PRIMARY KEY (inbox, type, webhook)
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  -- Stays the same however often it is sent, so that a receiver can tell a repetition.
  webhook_id TEXT NOT NULL UNIQUE DEFAULT ('msg_' || lower(hex(randomblob(16)))),
  type TEXT NOT NULL,
  job_id INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  -- What is sent, written once everything of the job is visible; every attempt sends the same.
  body TEXT
) STRICT;
CREATE INDEX webhook_events_by_time ON webhook_events (at_ms);
CREATE INDEX webhook_events_of_job ON webhook_events (job_id);
CREATE INDEX webhook_events_unwritten ON webhook_events (job_id) WHERE body IS NULL;

-- owed: to be sent. dead: tried as often as is allowed; a person may have it tried again. One that arrived is removed.
CREATE TABLE deliveries (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  event_id INTEGER NOT NULL REFERENCES webhook_events ON DELETE CASCADE,
  webhook TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'owed' CHECK (state IN ('owed', 'dead')),
  attempts INTEGER NOT NULL DEFAULT 0,
  next_attempt_at_ms INTEGER NOT NULL,
  tried_at_ms INTEGER,
  status INTEGER NOT NULL DEFAULT 0,
  reason TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX deliveries_owed ON deliveries (webhook, next_attempt_at_ms, id) WHERE state = 'owed';
CREATE INDEX deliveries_dead ON deliveries (webhook, id) WHERE state = 'dead';
CREATE INDEX deliveries_by_event ON deliveries (event_id);
CREATE TRIGGER deliveries_done AFTER DELETE ON deliveries
WHEN NOT EXISTS (SELECT 1 FROM deliveries WHERE event_id = old.event_id) BEGIN
  DELETE FROM webhook_events WHERE id = old.event_id;
END;

CREATE TRIGGER webhooks_owed AFTER UPDATE OF state ON jobs
WHEN new.state <> old.state AND (new.state = 'discarded' OR new.outcome IN ('published', 'duplicate'))
  AND EXISTS (
    SELECT 1 FROM webhook_wants AS w
    WHERE w.inbox = new.inbox AND w.type = 'image.' || coalesce(new.outcome, 'discarded'))
BEGIN
  INSERT INTO webhook_events (type, job_id, at_ms)
  VALUES ('image.' || coalesce(new.outcome, 'discarded'), new.id, new.finished_at_ms);
  INSERT INTO deliveries (event_id, webhook, next_attempt_at_ms)
  SELECT (SELECT max(id) FROM webhook_events), w.webhook, new.finished_at_ms FROM webhook_wants AS w
  WHERE w.inbox = new.inbox AND w.type = 'image.' || coalesce(new.outcome, 'discarded');
END;
-- A job that is taken up again before its end could be told has another end, which is told instead.
CREATE TRIGGER webhooks_not_so AFTER UPDATE OF state ON jobs
WHEN old.state IN ('completed', 'discarded') AND new.state <> old.state BEGIN
  DELETE FROM webhook_events WHERE job_id = old.id AND body IS NULL;
END;
