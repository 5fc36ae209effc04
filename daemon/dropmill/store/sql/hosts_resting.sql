-- A host that rests has the end of its rest as its place in the line.
SELECT origin, ready_at_ms, detail, waiting FROM hosts
WHERE waiting > 0 AND served_at_ms > :now_ms AND ready_at_ms > :now_ms AND detail <> ''
ORDER BY waiting DESC, id LIMIT :limit;
