-- A second fence between people. What somebody asks for in their own name is asked under the role clawdeploy_tenant, for
-- which a query that forgets whose rows it is about finds nothing. Whoever runs the programs owns the tables, and sees all.
-- The role and what it may at all are made at each start (shared/src/db/tenant.sql), so that a backup needs no role.
CREATE FUNCTION tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(current_setting('clawdeploy.tenant', true), '')::uuid
$$;
COMMENT ON FUNCTION tenant IS 'In whose name the connection asks; null: nobody''s, who sees nothing';

-- What belongs to a person.
CREATE POLICY own ON instances USING (owner_id = (SELECT tenant()));
CREATE POLICY own ON terminals USING (user_id = (SELECT tenant()));
CREATE POLICY own ON sessions USING (user_id = (SELECT tenant()));
CREATE POLICY own ON api_tokens USING (user_id = (SELECT tenant()));
CREATE POLICY own ON users USING (id = (SELECT tenant()));
-- A build of the image belongs to nobody, and whoever updates something may ask for one.
CREATE POLICY own ON jobs
    USING (owner_id = (SELECT tenant()));
CREATE POLICY builds ON jobs FOR SELECT
    USING (kind = 'rebuild_image');
CREATE POLICY ask_for_builds ON jobs FOR INSERT
    WITH CHECK (kind = 'rebuild_image' AND owner_id IS NULL AND requested_by = (SELECT tenant()));
-- What was done by a person, or to what is theirs; written in their own name only.
CREATE POLICY own ON audit FOR SELECT
    USING (actor_id = (SELECT tenant()) OR owner_id = (SELECT tenant()));
CREATE POLICY note ON audit FOR INSERT
    WITH CHECK (actor_id = (SELECT tenant()));

-- What goes with such a row: these look at it under the same role.
CREATE POLICY own ON job_events
    USING (EXISTS (SELECT FROM jobs WHERE jobs.id = job_id));
CREATE POLICY own ON ports
    USING (EXISTS (SELECT FROM instances WHERE instances.id = instance_id));
CREATE POLICY own ON snapshots
    USING (EXISTS (SELECT FROM instances WHERE instances.id = instance_id));
CREATE POLICY own ON instance_stats
    USING (EXISTS (SELECT FROM instances WHERE instances.id = instance_id));

ALTER TABLE instances ENABLE ROW LEVEL SECURITY;
ALTER TABLE terminals ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE job_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE ports ENABLE ROW LEVEL SECURITY;
ALTER TABLE snapshots ENABLE ROW LEVEL SECURITY;
ALTER TABLE instance_stats ENABLE ROW LEVEL SECURITY;

-- Two questions are about everybody's jobs, whoever asks.
ALTER FUNCTION jobs_take_turn() SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;

CREATE FUNCTION jobs_ahead(waiting uuid) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT count(*) FROM jobs own JOIN jobs ahead ON ahead.queue = own.queue
     WHERE own.id = waiting AND ahead.status = 'queued' AND ahead.run_at <= now()
       AND (ahead.turn, ahead.seq) < (own.turn, own.seq)
$$;
COMMENT ON FUNCTION jobs_ahead IS 'How many jobs of the same queue are due and come before a waiting one';
