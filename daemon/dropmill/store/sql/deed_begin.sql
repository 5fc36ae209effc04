UPDATE deeds SET state = 'begun', aside_name = :aside_name, target_name = :target_name, ino = :ino
WHERE id = :id AND state IN ('owed', 'begun');
