-- The ledger of seen files, the images and their renditions stay.
DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(:ids));
