DROP INDEX IF EXISTS jobs_rare_kinds;
