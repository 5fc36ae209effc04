DELETE FROM deliveries WHERE webhook = :webhook AND state = 'dead';
