-- The job that answers for a URL: one that is under way, else the latest.
SELECT id, state FROM jobs WHERE root_id = :root_id AND rel = :rel
ORDER BY state IN ('scheduled', 'available', 'executing') DESC, id DESC LIMIT 1;
