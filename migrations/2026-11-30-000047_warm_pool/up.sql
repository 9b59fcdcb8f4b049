-- The warm pool: instances that belong to nobody yet. Their gateways have booted and are frozen; a creation takes one.
--
-- A row without an owner is hidden from people by the policy on instances: no owner equals null. Only a function lets a
-- person's transaction take one.
SET LOCAL lock_timeout = '5s';

ALTER TABLE instances ALTER COLUMN owner_id DROP NOT NULL;
COMMENT ON COLUMN instances.owner_id IS 'Whose gateway it is; null: nobody''s, it is in the warm pool';
-- So whatever looks at instances by another status passes over them.
ALTER TABLE instances ADD CONSTRAINT instances_unowned_are_pending CHECK (owner_id IS NOT NULL OR status = 'pending') NOT VALID;
CREATE INDEX instances_unowned ON instances (id) WHERE owner_id IS NULL;

CREATE TABLE warm_instances (
    instance_id text PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    warmed_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    ready_at timestamptz,
    taken_at timestamptz
);
COMMENT ON TABLE warm_instances IS 'Instances that were made for the warm pool, until their owner has them';
COMMENT ON COLUMN warm_instances.instance_id IS 'The instance';
COMMENT ON COLUMN warm_instances.warmed_by IS 'The job that made it; no foreign key, since jobs are deleted after a while';
COMMENT ON COLUMN warm_instances.created_at IS 'When it was decided to make it';
COMMENT ON COLUMN warm_instances.ready_at IS 'When its gateway had booted and was frozen; null: not yet, or it can no longer be taken';
COMMENT ON COLUMN warm_instances.taken_at IS 'When a creation took it; null: nobody has';

CREATE TABLE warm_pool (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    wanted integer NOT NULL,
    held_back text,
    checked_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE warm_pool IS 'What the workers last decided about the warm pool';
COMMENT ON COLUMN warm_pool.singleton IS 'There is one row';
COMMENT ON COLUMN warm_pool.wanted IS 'How many warm instances there should be now; 0: the pool is off';
COMMENT ON COLUMN warm_pool.held_back IS 'Code of why there are fewer than the setting says; null: there are not';
COMMENT ON COLUMN warm_pool.checked_at IS 'When that was decided';

CREATE TABLE warm_pool_days (
    day date PRIMARY KEY,
    taken integer NOT NULL DEFAULT 0,
    missed integer NOT NULL DEFAULT 0
);
COMMENT ON TABLE warm_pool_days IS 'How often creations found a warm instance';
COMMENT ON COLUMN warm_pool_days.day IS 'The day, in the time zone of the database';
COMMENT ON COLUMN warm_pool_days.taken IS 'Creations that took a warm instance';
COMMENT ON COLUMN warm_pool_days.missed IS 'Creations while the pool was on that found none that fits';

-- Memory of the pool is not promised to anybody: it is given up as soon as an instance needs it.
CREATE OR REPLACE FUNCTION promised_memory_mb(without text) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp AS $$
    -- A pending limit counts from when it was accepted. An instance that is stopped or deleted counts until it has ended.
    SELECT coalesce(sum(greatest(memory_mb, (pending_settings->>'memoryMb')::integer)), 0)
      FROM instances
     WHERE id <> without AND owner_id IS NOT NULL
       AND (desired_state = 'running' OR status IN ('provisioning', 'starting', 'running', 'stopping', 'updating', 'deleting'))
$$;

CREATE FUNCTION take_warm_instance(new_name text, memory integer) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    owner uuid := public.tenant();
    one text;
BEGIN
    IF owner IS NULL THEN
        RAISE EXCEPTION 'a warm instance is taken in the name of a person';
    END IF;
    -- The oldest first. One that is being made or discarded has an open job.
    SELECT w.instance_id INTO one
      FROM warm_instances w JOIN instances i ON i.id = w.instance_id
     WHERE i.owner_id IS NULL AND w.ready_at IS NOT NULL AND i.memory_mb = memory
       AND NOT EXISTS (SELECT FROM jobs j WHERE j.instance_id = i.id AND j.status IN ('queued', 'running'))
     ORDER BY w.ready_at LIMIT 1 FOR UPDATE OF i, w SKIP LOCKED;
    IF one IS NULL THEN
        INSERT INTO warm_pool_days (day, missed) SELECT current_date, 1 FROM warm_pool WHERE wanted > 0
            ON CONFLICT (day) DO UPDATE SET missed = warm_pool_days.missed + 1;
        RETURN;
    END IF;
    UPDATE instances SET owner_id = owner, name = new_name, created_at = now(), updated_at = now(), status_changed_at = now()
     WHERE id = one;
    UPDATE warm_instances SET taken_at = now() WHERE instance_id = one;
    INSERT INTO warm_pool_days (day, taken) VALUES (current_date, 1)
        ON CONFLICT (day) DO UPDATE SET taken = warm_pool_days.taken + 1;
    RETURN NEXT one;
END
$$;
COMMENT ON FUNCTION take_warm_instance IS 'Gives a warm instance with this memory limit, in MiB, to the tenant, and returns its id; no row: there is none. Either is counted';

-- Checked without holding up writers: every row meets the old constraints, which are narrower.
ALTER TABLE jobs DROP CONSTRAINT jobs_kind_known;
ALTER TABLE jobs ADD CONSTRAINT jobs_kind_known CHECK (kind IN ('provision', 'start', 'stop', 'restart', 'delete', 'rebuild_image', 'update', 'rollback', 'recreate', 'update_all', 'restore', 'warm_up', 'discard', 'noop')) NOT VALID;
ALTER TABLE jobs DROP CONSTRAINT jobs_queue_known;
ALTER TABLE jobs ADD CONSTRAINT jobs_queue_known CHECK (queue IN ('lifecycle', 'builds', 'rollouts', 'warm')) NOT VALID;
ALTER TABLE queue_pauses DROP CONSTRAINT queue_pauses_queue_known;
ALTER TABLE queue_pauses ADD CONSTRAINT queue_pauses_queue_known CHECK (queue IN ('lifecycle', 'builds', 'rollouts', 'warm')) NOT VALID;
