SELECT a, b FROM candidates WHERE reason = '' ORDER BY a, b LIMIT :limit;
