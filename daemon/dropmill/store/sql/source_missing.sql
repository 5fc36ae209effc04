UPDATE sources SET missing_scans = :missing_scans WHERE root_id = :root_id AND rel = :rel;
