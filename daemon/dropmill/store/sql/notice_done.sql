UPDATE notices SET state = 'done', detail = '' WHERE id = :id;
