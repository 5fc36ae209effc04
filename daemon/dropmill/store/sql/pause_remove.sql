DELETE FROM pauses WHERE inbox = :inbox;
