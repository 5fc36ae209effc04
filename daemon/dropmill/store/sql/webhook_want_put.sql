INSERT OR IGNORE INTO webhook_wants (inbox, type, webhook) VALUES (:inbox, :type, :webhook);
