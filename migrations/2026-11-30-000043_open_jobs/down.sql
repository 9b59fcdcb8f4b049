SET LOCAL lock_timeout = '5s';

DROP INDEX jobs_open_dedupe;
CREATE UNIQUE INDEX jobs_open_dedupe ON jobs (dedupe_key) WHERE status IN ('queued', 'running');
DROP INDEX jobs_open_by_instance;
CREATE INDEX jobs_open_by_instance ON jobs (instance_id, seq) WHERE status IN ('queued', 'running');
