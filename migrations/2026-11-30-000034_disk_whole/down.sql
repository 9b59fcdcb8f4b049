ALTER TABLE instances DROP COLUMN disk_whole;
