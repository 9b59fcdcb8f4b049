-- What can be brought back: deleted instances whose files are kept for a while, and directories that the database does not know.
SET LOCAL lock_timeout = '5s';

CREATE TABLE recoverable_instances (
    id text PRIMARY KEY,
    state text NOT NULL,
    owner_id uuid,
    owner_email text,
    name text,
    reason text NOT NULL,
    manifest jsonb,
    since timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    bytes bigint,
    purge_requested_at timestamptz,
    CONSTRAINT recoverable_instances_state_known CHECK (state IN ('deleted', 'unclaimed')),
    CONSTRAINT recoverable_instances_deleted_expire CHECK ((state = 'deleted') = (expires_at IS NOT NULL))
);
CREATE INDEX recoverable_instances_owner ON recoverable_instances (owner_id, since DESC);
CREATE INDEX recoverable_instances_expired ON recoverable_instances (expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE recoverable_instances IS 'Instances whose files are kept although they have no row in instances; a row goes when its instance is restored or its files are removed';
COMMENT ON COLUMN recoverable_instances.id IS 'Id of the instance, and name of its directory';
COMMENT ON COLUMN recoverable_instances.state IS 'deleted: the files are in the quarantine until expires_at; unclaimed: a directory that was found and that the database does not know';
COMMENT ON COLUMN recoverable_instances.owner_id IS 'Whose it was; no foreign key, since a restored database may not know the account';
COMMENT ON COLUMN recoverable_instances.owner_email IS 'E-mail of the owner at that time';
COMMENT ON COLUMN recoverable_instances.name IS 'Name of the instance; null: not known';
COMMENT ON COLUMN recoverable_instances.reason IS 'Why it is listed, for a person';
COMMENT ON COLUMN recoverable_instances.manifest IS 'What its row in instances held: settings, sealed secrets, image; null: not known';
COMMENT ON COLUMN recoverable_instances.since IS 'When it was deleted or found';
COMMENT ON COLUMN recoverable_instances.expires_at IS 'When the files are removed; null: never by itself';
COMMENT ON COLUMN recoverable_instances.bytes IS 'Size of the files, as last measured; null: not known';
COMMENT ON COLUMN recoverable_instances.purge_requested_at IS 'When the removal of the files was decided; from then on it cannot be restored';

CREATE POLICY own ON recoverable_instances USING (owner_id = (SELECT tenant()));
ALTER TABLE recoverable_instances ENABLE ROW LEVEL SECURITY;

-- Checked without holding up writers: every row meets the old constraint, which is narrower.
ALTER TABLE jobs DROP CONSTRAINT jobs_kind_known;
ALTER TABLE jobs ADD CONSTRAINT jobs_kind_known CHECK (kind IN ('provision', 'start', 'stop', 'restart', 'delete', 'rebuild_image', 'update', 'rollback', 'recreate', 'update_all', 'restore', 'noop')) NOT VALID;
