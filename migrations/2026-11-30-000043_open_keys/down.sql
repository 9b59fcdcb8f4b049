DROP INDEX IF EXISTS jobs_open_key;
