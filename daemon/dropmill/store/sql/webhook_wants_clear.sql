DELETE FROM webhook_wants;
