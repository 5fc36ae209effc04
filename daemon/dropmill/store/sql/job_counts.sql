SELECT inbox, state, coalesce(outcome, '') AS outcome, count(*) AS count FROM jobs GROUP BY inbox, state, outcome;
