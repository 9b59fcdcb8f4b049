ALTER TABLE images DROP COLUMN current_since;
COMMENT ON COLUMN images.revision IS 'What it came to, the same for the same content: version and recipe, commit or digest';
