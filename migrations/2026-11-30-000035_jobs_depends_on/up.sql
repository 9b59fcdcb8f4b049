-- Without it, deleting one job reads all jobs: the foreign key looks for those that depend on it.
CREATE INDEX CONCURRENTLY jobs_depends_on ON jobs (depends_on) WHERE depends_on IS NOT NULL;
