SELECT * FROM scans WHERE id = :id;
