UPDATE candidates SET reason = '' WHERE reason <> '';
