-- Under the name of the one before, by which programs know why a job is refused.
SET LOCAL lock_timeout = '5s';

DROP INDEX jobs_open_dedupe;
ALTER INDEX jobs_open_key RENAME TO jobs_open_dedupe;
