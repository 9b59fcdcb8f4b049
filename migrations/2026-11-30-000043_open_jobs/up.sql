-- Two indexes of open jobs also had an entry for each open job without a key or an instance. Each change of such a job
-- wrote to them, and Postgres took them for lists of all open jobs: a claim then read every waiting job. Now they hold only
-- what is looked up in them. Each is built while jobs wait: about a second for a million jobs.
SET LOCAL lock_timeout = '5s';

ALTER INDEX jobs_open_dedupe RENAME TO jobs_open_dedupe_before;
CREATE UNIQUE INDEX jobs_open_dedupe ON jobs (dedupe_key)
    WHERE dedupe_key IS NOT NULL AND status IN ('queued', 'running');
DROP INDEX jobs_open_dedupe_before;

ALTER INDEX jobs_open_by_instance RENAME TO jobs_open_by_instance_before;
CREATE INDEX jobs_open_by_instance ON jobs (instance_id, seq)
    WHERE instance_id IS NOT NULL AND status IN ('queued', 'running');
DROP INDEX jobs_open_by_instance_before;
