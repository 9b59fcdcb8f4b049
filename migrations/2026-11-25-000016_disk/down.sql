ALTER TABLE instances
    DROP COLUMN disk_bytes,
    DROP COLUMN disk_limit_bytes,
    DROP COLUMN disk_measured_at,
    DROP COLUMN disk_warned;
