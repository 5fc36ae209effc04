-- Of a webhook that is not configured any more.
DELETE FROM deliveries WHERE webhook = :webhook AND state = 'owed';
