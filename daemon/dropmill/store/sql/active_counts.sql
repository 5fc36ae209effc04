SELECT inbox, state, count(*) AS count FROM jobs WHERE state IN ('scheduled', 'available', 'executing') GROUP BY inbox, state;
