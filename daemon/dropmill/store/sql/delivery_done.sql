DELETE FROM deliveries WHERE id = :id;
