-- How much memory the host has, and how much of it was promised to instances. Both are the same for everybody, so that an owner's
-- transaction, which sees no instance of another, can be told whether there is room.
SET LOCAL lock_timeout = '5s';

ALTER TABLE workers ADD COLUMN memory_mb integer;
COMMENT ON COLUMN workers.memory_mb IS 'Memory of the host that runs instances for it, in MiB; null: not known';

CREATE FUNCTION promised_memory_mb(without text) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp AS $$
    -- A pending limit counts from when it was accepted. An instance that is stopped or deleted counts until it has ended.
    SELECT coalesce(sum(greatest(memory_mb, (pending_settings->>'memoryMb')::integer)), 0)
      FROM instances
     WHERE id <> without AND (desired_state = 'running' OR status IN ('provisioning', 'starting', 'running', 'stopping', 'updating', 'deleting'))
$$;
COMMENT ON FUNCTION promised_memory_mb IS 'Sum of the memory limits of instances that run or are to run, without one of them, in MiB';
