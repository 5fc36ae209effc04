DELETE FROM members WHERE holding_id = :holding_id;
