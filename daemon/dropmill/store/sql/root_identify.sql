UPDATE roots SET since_ms = CASE identity WHEN '' THEN 0 ELSE :now_ms END, identity = :identity
WHERE id = :id AND identity <> :identity;
