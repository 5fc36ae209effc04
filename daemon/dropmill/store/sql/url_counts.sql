-- Kept by triggers, so that a scrape does not visit every job.
SELECT inbox, kind, count FROM url_counts WHERE count > 0;
