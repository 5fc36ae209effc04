UPDATE hosts SET ready_at_ms = :ready_at_ms, served_at_ms = max(served_at_ms, :ready_at_ms), failures = :failures,
  opened_at_ms = :opened_at_ms, probes = :probes, detail = :detail
WHERE id = :id;
