SELECT inbox, since_ms FROM pauses ORDER BY inbox;
