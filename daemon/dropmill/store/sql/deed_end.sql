UPDATE deeds SET state = :state, detail = :detail, hint = :hint, ino = coalesce(:ino, ino),
  link_ino = coalesce(:link_ino, link_ino), done_at_ms = :now_ms, purge_at_ms = :purge_at_ms
WHERE id = :id;
