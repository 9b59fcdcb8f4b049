-- An image that is built already is not built again: which one instances are made from is then not the one that was
-- finished last.
ALTER TABLE images ADD COLUMN current_since timestamptz;
UPDATE images SET current_since = finished_at WHERE status = 'ready';
COMMENT ON COLUMN images.current_since IS 'When the tag that instances are made from was last set to this image; null: never';
-- Null while it is not known yet what was asked for: a build is a row from its first moment.
COMMENT ON COLUMN images.revision IS 'What it came to, the same for the same content: version and recipe, commit or digest; null: not known yet';
