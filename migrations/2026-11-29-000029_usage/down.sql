ALTER TABLE instance_stats DROP COLUMN disk_known;
