-- The index of open jobs by key also had an entry for each open job without one. Each change of such a job wrote to it, and
-- Postgres took it for lists of all open jobs. This one holds only what is looked up in it.
CREATE UNIQUE INDEX CONCURRENTLY jobs_open_key ON jobs (dedupe_key)
    WHERE dedupe_key IS NOT NULL AND status IN ('queued', 'running');
