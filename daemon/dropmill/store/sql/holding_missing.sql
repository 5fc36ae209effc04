UPDATE holdings SET missing_scans = :missing_scans WHERE id = :id;
