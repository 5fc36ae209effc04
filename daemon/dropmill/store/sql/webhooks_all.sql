SELECT w.*,
  (SELECT count(*) FROM deliveries AS d WHERE d.webhook = w.name AND d.state = 'owed') AS waiting,
  (SELECT count(*) FROM deliveries AS d WHERE d.webhook = w.name AND d.state = 'dead') AS dead
FROM webhooks AS w ORDER BY w.name;
