SELECT count(*) AS hosts, coalesce(sum(waiting), 0) AS urls, count(opened_at_ms) AS failing FROM hosts
WHERE waiting > 0 AND served_at_ms > :now_ms AND ready_at_ms > :now_ms AND detail <> '';
