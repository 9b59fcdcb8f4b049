ALTER TABLE instances
    ADD COLUMN disk_bytes bigint,
    ADD COLUMN disk_limit_bytes bigint,
    ADD COLUMN disk_measured_at timestamptz,
    ADD COLUMN disk_warned boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN instances.disk_bytes IS 'Bytes on disk of its files at the last measurement; null: not measured yet';
COMMENT ON COLUMN instances.disk_limit_bytes IS 'How many it may take, as the worker was set that measured last; null: any number';
COMMENT ON COLUMN instances.disk_measured_at IS 'When its files were measured last';
COMMENT ON COLUMN instances.disk_warned IS 'Whether it was told that little room is left, and has not freed any since';
