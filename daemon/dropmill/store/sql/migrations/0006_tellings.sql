-- What applications were told of a job, for whoever asks why they know or do not know of it; forgotten with the job.
CREATE TABLE tellings (
  job_id INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
  webhook TEXT NOT NULL,
  type TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  PRIMARY KEY (job_id, webhook, type)
) STRICT, WITHOUT ROWID;
