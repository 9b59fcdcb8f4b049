ALTER INDEX jobs_open_dedupe RENAME TO jobs_open_key;
CREATE UNIQUE INDEX jobs_open_dedupe ON jobs (dedupe_key) WHERE status IN ('queued', 'running');
