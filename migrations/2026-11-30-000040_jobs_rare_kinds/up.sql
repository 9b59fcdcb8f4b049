-- Jobs of one kind, newest first. Those of the other kinds are so many that a list finds them anyway.
CREATE INDEX CONCURRENTLY jobs_rare_kinds ON jobs (kind, seq DESC) WHERE kind NOT IN ('start', 'stop', 'restart', 'noop');
