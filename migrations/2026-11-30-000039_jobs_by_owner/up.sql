-- An owner's jobs, newest first. Jobs of the system have no owner and do not pay for it.
CREATE INDEX CONCURRENTLY jobs_by_owner ON jobs (owner_id, seq DESC) WHERE owner_id IS NOT NULL;
