DELETE FROM members WHERE group_id = :group_id;
