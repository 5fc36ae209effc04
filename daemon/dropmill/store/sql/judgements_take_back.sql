DELETE FROM judgements WHERE batch_id = :batch_id;
