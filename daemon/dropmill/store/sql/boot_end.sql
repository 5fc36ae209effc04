UPDATE boots SET ended_at_ms = :now_ms WHERE id = :id;
