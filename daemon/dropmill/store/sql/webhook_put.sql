INSERT INTO webhooks (name, configuration, configured) VALUES (:name, :configuration, 1)
ON CONFLICT (name) DO UPDATE SET configured = 1;
