UPDATE publications SET state = 'retiring', retired_by = :retired_by WHERE id = :id AND state IN ('owed', 'visible', 'failed');
