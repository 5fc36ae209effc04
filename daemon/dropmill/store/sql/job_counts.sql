-- Kept by triggers, so that a scrape does not visit every job.
SELECT inbox, state, outcome, count FROM job_counts WHERE count > 0;
