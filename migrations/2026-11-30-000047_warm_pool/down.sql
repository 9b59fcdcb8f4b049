-- Programs of that time have no name for such a job, and cannot read an instance without an owner.
DELETE FROM jobs WHERE kind IN ('warm_up', 'discard') OR queue = 'warm';
DELETE FROM queue_pauses WHERE queue = 'warm';
DELETE FROM instances WHERE owner_id IS NULL;
ALTER TABLE queue_pauses DROP CONSTRAINT queue_pauses_queue_known;
ALTER TABLE queue_pauses ADD CONSTRAINT queue_pauses_queue_known CHECK (queue IN ('lifecycle', 'builds', 'rollouts'));
ALTER TABLE jobs DROP CONSTRAINT jobs_queue_known;
ALTER TABLE jobs ADD CONSTRAINT jobs_queue_known CHECK (queue IN ('lifecycle', 'builds', 'rollouts'));
ALTER TABLE jobs DROP CONSTRAINT jobs_kind_known;
ALTER TABLE jobs ADD CONSTRAINT jobs_kind_known CHECK (kind IN ('provision', 'start', 'stop', 'restart', 'delete', 'rebuild_image', 'update', 'rollback', 'recreate', 'update_all', 'restore', 'noop')) NOT VALID;
DROP FUNCTION take_warm_instance;
CREATE OR REPLACE FUNCTION promised_memory_mb(without text) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp AS $$
    -- A pending limit counts from when it was accepted. An instance that is stopped or deleted counts until it has ended.
    SELECT coalesce(sum(greatest(memory_mb, (pending_settings->>'memoryMb')::integer)), 0)
      FROM instances
     WHERE id <> without AND (desired_state = 'running' OR status IN ('provisioning', 'starting', 'running', 'stopping', 'updating', 'deleting'))
$$;
DROP TABLE warm_pool_days;
DROP TABLE warm_pool;
DROP TABLE warm_instances;
DROP INDEX instances_unowned;
ALTER TABLE instances DROP CONSTRAINT instances_unowned_are_pending;
ALTER TABLE instances ALTER COLUMN owner_id SET NOT NULL;
