-- audit by month, so that what is old goes as a whole partition, after its export. Rows of before this migration stay in one
-- partition, audit_early. Older programs read and write the table as before: its name and its columns stay.
LOCK TABLE audit IN ACCESS EXCLUSIVE MODE;

ALTER TABLE audit RENAME TO audit_early;
ALTER TABLE audit_early DROP CONSTRAINT audit_pkey;
ALTER TABLE audit_early ADD CONSTRAINT audit_early_pkey PRIMARY KEY USING INDEX audit_id_at;
ALTER INDEX audit_at RENAME TO audit_early_at;
ALTER INDEX audit_target RENAME TO audit_early_target;
ALTER INDEX audit_actor RENAME TO audit_early_actor;
ALTER INDEX audit_owner RENAME TO audit_early_owner;
ALTER SEQUENCE audit_id_seq RENAME TO audit_early_id_seq;

CREATE TABLE audit (LIKE audit_early INCLUDING DEFAULTS INCLUDING COMMENTS) PARTITION BY RANGE (at);
ALTER TABLE audit
    ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY,
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id, at),
    ADD CONSTRAINT audit_outcome_known CHECK (outcome IN ('success', 'failure'));
SELECT setval('audit_id_seq', last_value, is_called) FROM audit_early_id_seq;
ALTER TABLE audit_early ALTER COLUMN id DROP IDENTITY;
CREATE INDEX audit_at ON audit (at DESC);
CREATE INDEX audit_target ON audit (target_kind, target_id, id DESC);
CREATE INDEX audit_actor ON audit (actor_id, id DESC);
CREATE INDEX audit_owner ON audit (owner_id, id DESC);
CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
COMMENT ON TABLE audit IS 'Who changed what; rows are only ever added, and leave with their month';

CREATE POLICY own ON audit FOR SELECT
    USING (actor_id = (SELECT tenant()) OR owner_id = (SELECT tenant()));
CREATE POLICY note ON audit FOR INSERT
    WITH CHECK (actor_id = (SELECT tenant()));
ALTER TABLE audit ENABLE ROW LEVEL SECURITY;
-- Programs that run now need it before the rights of the role are made again. It reaches rows through the table only.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'clawdeploy_tenant') THEN
        REVOKE ALL ON audit_early FROM clawdeploy_tenant;
        GRANT SELECT, INSERT ON audit TO clawdeploy_tenant;
    END IF;
END
$$;

-- The former table becomes the first partition, unless nothing is in it.
DO $$
DECLARE
    before timestamptz := (SELECT substring(pg_get_constraintdef(oid) FROM $re$'([^']+)'$re$)::timestamptz
        FROM pg_constraint WHERE conrelid = 'audit_early'::regclass AND conname = 'audit_before');
BEGIN
    IF EXISTS (SELECT FROM audit_early) THEN
        EXECUTE format('ALTER TABLE audit ATTACH PARTITION audit_early FOR VALUES FROM (MINVALUE) TO (%L)', before);
        -- The bound of the partition says the same.
        ALTER TABLE audit_early DROP CONSTRAINT audit_before;
    ELSE
        DROP TABLE audit_early;
    END IF;
END
$$;

CREATE TABLE audit_exports (
    partition text NOT NULL,
    from_at timestamptz,
    until_at timestamptz NOT NULL,
    entries bigint NOT NULL,
    file text NOT NULL,
    sha256 bytea NOT NULL,
    worker text NOT NULL,
    exported_at timestamptz NOT NULL DEFAULT now(),
    dropped_at timestamptz,
    PRIMARY KEY (partition, until_at)
);
COMMENT ON TABLE audit_exports IS 'Months of the audit log that were written to a file; a month leaves the database only with a row here, unless no export is wanted';
COMMENT ON COLUMN audit_exports.partition IS 'Name of the partition';
COMMENT ON COLUMN audit_exports.from_at IS 'From when its entries are; null: from the beginning';
COMMENT ON COLUMN audit_exports.until_at IS 'Until when, exclusively';
COMMENT ON COLUMN audit_exports.entries IS 'How many entries the file has';
COMMENT ON COLUMN audit_exports.file IS 'Path of the file, as its worker knows it';
COMMENT ON COLUMN audit_exports.sha256 IS 'SHA-256 of the file';
COMMENT ON COLUMN audit_exports.worker IS 'Worker that wrote it';
COMMENT ON COLUMN audit_exports.exported_at IS 'When it was written';
COMMENT ON COLUMN audit_exports.dropped_at IS 'When the partition was dropped; null: it is still there';

CREATE FUNCTION audit_partitions() RETURNS TABLE (partition text, from_at timestamptz, until_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT c.relname::text, substring(bound FROM $re$FROM \('([^']+)'\)$re$)::timestamptz,
        substring(bound FROM $re$TO \('([^']+)'\)$re$)::timestamptz
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid, pg_get_expr(c.relpartbound, c.oid) AS bound
    WHERE i.inhparent = 'public.audit'::regclass AND bound <> 'DEFAULT'
    ORDER BY 3
$$;
COMMENT ON FUNCTION audit_partitions IS 'The partitions of audit but the default one, oldest first, each with its bounds; from_at null: from the beginning';

CREATE FUNCTION audit_attach(partition text, bounds text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Made first and attached then, which locks the table for nobody who adds to it.
    EXECUTE format('CREATE TABLE public.%I (LIKE public.audit INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition);
    EXECUTE format('CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON public.%I '
        'FOR EACH STATEMENT EXECUTE FUNCTION public.audit_stays()', partition);
    EXECUTE format('ALTER TABLE public.audit ATTACH PARTITION public.%I %s', partition, bounds);
END
$$;
COMMENT ON FUNCTION audit_attach IS 'Makes a partition of audit, whose rows are only ever added as well';

CREATE FUNCTION audit_add_months(ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    stray record;
    month timestamptz;
    added integer := 0;
BEGIN
    -- Rows of a month that had no partition: what they are in becomes the partition of their months.
    SELECT date_trunc('month', min(at) AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS first,
        (date_trunc('month', max(at) AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC' AS beyond
        INTO stray FROM audit_default;
    IF stray.first IS NOT NULL AND NOT EXISTS (SELECT FROM audit_partitions() p
            WHERE p.until_at > stray.first AND coalesce(p.from_at, '-infinity') < stray.beyond) THEN
        ALTER TABLE audit DETACH PARTITION audit_default;
        EXECUTE format('ALTER TABLE audit_default RENAME TO %I', to_char(stray.first AT TIME ZONE 'UTC', '"audit_"YYYY_MM'));
        EXECUTE format('ALTER TABLE audit ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            to_char(stray.first AT TIME ZONE 'UTC', '"audit_"YYYY_MM'), stray.first, stray.beyond);
        PERFORM audit_attach('audit_default', 'DEFAULT');
        added := 1;
    END IF;
    FOR n IN 0..ahead LOOP
        month := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => n)) AT TIME ZONE 'UTC';
        CONTINUE WHEN EXISTS (SELECT FROM audit_partitions() p
            WHERE p.until_at > month AND coalesce(p.from_at, '-infinity') <= month);
        PERFORM audit_attach(to_char(month AT TIME ZONE 'UTC', '"audit_"YYYY_MM'),
            format('FOR VALUES FROM (%L) TO (%L)', month, (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'));
        added := added + 1;
    END LOOP;
    RETURN added;
END
$$;
COMMENT ON FUNCTION audit_add_months IS 'Makes the partitions of this month and of some months ahead that are missing; says how many it made';

CREATE FUNCTION audit_drop(dropped text, exported boolean) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    until timestamptz := (SELECT p.until_at FROM audit_partitions() p WHERE p.partition = dropped);
    found bigint;
BEGIN
    IF until IS NULL OR until > now() THEN
        RAISE EXCEPTION '% is no partition of audit whose time is over', dropped;
    END IF;
    EXECUTE format('LOCK TABLE public.%I IN SHARE MODE', dropped);
    EXECUTE format('SELECT count(*) FROM public.%I', dropped) INTO found;
    IF exported AND NOT EXISTS (SELECT FROM audit_exports e
            WHERE e.partition = dropped AND e.until_at = until AND e.entries = found) THEN
        RAISE EXCEPTION 'the % entries of % were not exported', found, dropped;
    END IF;
    EXECUTE format('DROP TABLE public.%I', dropped);
    UPDATE audit_exports e SET dropped_at = now() WHERE e.partition = dropped AND e.until_at = until;
    RETURN found;
END
$$;
COMMENT ON FUNCTION audit_drop IS 'Drops a partition of audit, with exported only if its export is recorded and complete; says how many entries it had';

SELECT audit_attach('audit_default', 'DEFAULT');
SELECT audit_add_months(3);

-- Whether an update belongs to a rollout is asked before its job is deleted.
CREATE INDEX rollout_members_update ON rollout_members (update_job_id) WHERE update_job_id IS NOT NULL;
