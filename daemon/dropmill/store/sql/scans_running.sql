SELECT * FROM scans WHERE state = 'running' ORDER BY id;
