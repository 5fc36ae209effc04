-- Whether at least :jobs jobs of the inbox wait to be begun. Triggers keep the count, so nothing is visited.
SELECT coalesce(sum(count), 0) >= :jobs FROM job_counts WHERE inbox = :inbox AND state = 'available';
