UPDATE webhook_events SET body = :body WHERE id = :id AND body IS NULL;
