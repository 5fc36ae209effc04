SELECT a, b, how FROM pairs WHERE how = 'pixels' AND relation = '' AND (a, b) > (:a, :b) ORDER BY a, b LIMIT :limit;
