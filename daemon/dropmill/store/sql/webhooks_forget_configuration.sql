UPDATE webhooks SET configured = 0 WHERE configured = 1;
