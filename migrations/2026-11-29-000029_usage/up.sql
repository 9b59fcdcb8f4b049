-- Beside the bytes rather than null in them: programs of before read the column as a number.
ALTER TABLE instance_stats ADD COLUMN disk_known boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN instance_stats.disk_known IS 'Whether disk_bytes was measured; false: it is 0 and says nothing';
