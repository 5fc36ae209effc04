UPDATE publications SET next_attempt_at_ms = :now_ms
WHERE state IN ('owed', 'retiring') AND next_attempt_at_ms > :now_ms
  AND output_id IN (SELECT value FROM json_each(:outputs));
