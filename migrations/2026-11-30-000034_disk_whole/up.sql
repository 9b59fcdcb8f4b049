-- Whether the last measurement saw all files, so that other readers may use it.
SET LOCAL lock_timeout = '5s';

ALTER TABLE instances ADD COLUMN disk_whole boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN instances.disk_whole IS 'Whether disk_bytes is the size of all its files; false: of a part, or not measured last time';
