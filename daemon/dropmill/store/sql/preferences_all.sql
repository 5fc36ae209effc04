SELECT name, value, changed_at_ms FROM preferences ORDER BY name;
