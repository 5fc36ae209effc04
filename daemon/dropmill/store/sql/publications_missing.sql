UPDATE publications SET state = 'failed', detail = 'it is no longer there'
WHERE image_id = :image_id AND state = 'visible';
