SELECT group_id FROM members WHERE holding_id = :holding_id;
