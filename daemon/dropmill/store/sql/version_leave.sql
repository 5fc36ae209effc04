-- A person had it taken away: its renditions stay, as with what our own disposal took away.
UPDATE versions SET kept = 0 WHERE root_id = :root_id AND rel = :rel AND sha256 = :sha256 AND kept = 1;
