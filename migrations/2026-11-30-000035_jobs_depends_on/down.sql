DROP INDEX IF EXISTS jobs_depends_on;
