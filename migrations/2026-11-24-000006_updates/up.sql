-- Jobs: an update, a rollback and a change of settings are the same transaction; updates of everything have a queue of
-- their own, because such a job waits for others.
ALTER TABLE jobs DROP CONSTRAINT jobs_kind_known;
ALTER TABLE jobs ADD CONSTRAINT jobs_kind_known CHECK (kind IN ('provision', 'start', 'stop', 'restart', 'delete', 'rebuild_image', 'update', 'rollback', 'recreate', 'update_all', 'noop'));
ALTER TABLE jobs DROP CONSTRAINT jobs_queue_known;
ALTER TABLE jobs ADD CONSTRAINT jobs_queue_known CHECK (queue IN ('lifecycle', 'builds', 'rollouts'));
ALTER TABLE queue_pauses DROP CONSTRAINT queue_pauses_queue_known;
ALTER TABLE queue_pauses ADD CONSTRAINT queue_pauses_queue_known CHECK (queue IN ('lifecycle', 'builds', 'rollouts'));
COMMENT ON COLUMN jobs.queue IS 'Which workers do it: lifecycle, builds or rollouts';

-- Images: more sources, and what tells that a content is there already.
ALTER TABLE images DROP CONSTRAINT images_source_known;
ALTER TABLE images ADD CONSTRAINT images_source_known CHECK (source IN ('release', 'git', 'registry'));
ALTER TABLE images DROP CONSTRAINT images_status_known;
ALTER TABLE images ADD CONSTRAINT images_status_known CHECK (status IN ('building', 'ready', 'failed', 'cancelled'));
ALTER TABLE images ALTER COLUMN version DROP NOT NULL;
ALTER TABLE images ADD COLUMN reference text;
ALTER TABLE images ADD COLUMN revision text;
ALTER TABLE images ADD COLUMN progress smallint NOT NULL DEFAULT 0;
ALTER TABLE images ADD COLUMN duration_ms bigint;
ALTER TABLE images ADD COLUMN removed_at timestamptz;
ALTER TABLE images ADD COLUMN log_offset bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN images.source IS 'release: the npm package, by the Dockerfile in deploy/openclaw; git: a repository, by its own Dockerfile; registry: an image that others built';
COMMENT ON COLUMN images.version IS 'Version of OpenClaw; null: not known before it is built';
COMMENT ON COLUMN images.status IS 'building, ready, failed or cancelled';
COMMENT ON COLUMN images.reference IS 'What was asked for: version, branch or tag of the repository, or reference in the registry';
COMMENT ON COLUMN images.revision IS 'What it came to, the same for the same content: version and recipe, commit or digest';
COMMENT ON COLUMN images.progress IS 'Percent';
COMMENT ON COLUMN images.duration_ms IS 'How long the build took';
COMMENT ON COLUMN images.removed_at IS 'When the image was removed from the engine to make room';
COMMENT ON COLUMN images.log_offset IS 'Bytes of the log that were cut off at its beginning';

-- Instances: the version that runs, and settings that are not applied yet.
ALTER TABLE instances ADD COLUMN openclaw_version text;
ALTER TABLE instances ADD COLUMN env jsonb NOT NULL DEFAULT '{}';
ALTER TABLE instances ADD COLUMN pending_settings jsonb;
COMMENT ON COLUMN instances.openclaw_version IS 'Version of OpenClaw in the image that the container was made from';
COMMENT ON COLUMN instances.env IS 'Environment variables of the owner''s: names, with sealed values';
COMMENT ON COLUMN instances.pending_settings IS 'Changed settings that the container does not have yet; secrets in it are sealed';

-- Which images are in use is asked before one is removed.
CREATE TABLE snapshots (
    id uuid PRIMARY KEY,
    instance_id text NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    job_id uuid NOT NULL,
    reason text NOT NULL,
    status text NOT NULL,
    was_running boolean NOT NULL,
    from_image text NOT NULL,
    from_version text,
    from_settings jsonb NOT NULL,
    to_image text NOT NULL,
    to_version text,
    to_settings jsonb NOT NULL,
    files bigint,
    bytes bigint,
    method text,
    duration_ms bigint,
    stopped_at timestamptz,
    down_ms bigint,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT snapshots_job_unique UNIQUE (job_id),
    CONSTRAINT snapshots_reason_known CHECK (reason IN ('update', 'rollback', 'settings')),
    CONSTRAINT snapshots_status_known CHECK (status IN ('changing', 'kept', 'rolled_back')),
    CONSTRAINT snapshots_method_known CHECK (method IN ('reflink', 'copy'))
);
CREATE INDEX snapshots_by_instance ON snapshots (instance_id, created_at DESC);
COMMENT ON TABLE snapshots IS 'What an instance was before each change of its container: the way back';
COMMENT ON COLUMN snapshots.id IS 'UUIDv7; name of the directory';
COMMENT ON COLUMN snapshots.instance_id IS 'Of which instance';
COMMENT ON COLUMN snapshots.job_id IS 'The job that changes it';
COMMENT ON COLUMN snapshots.reason IS 'update, rollback or settings';
COMMENT ON COLUMN snapshots.status IS 'changing: the job is under way; kept: it succeeded, and this is the way back; rolled_back: everything is as before, nothing is kept';
COMMENT ON COLUMN snapshots.was_running IS 'Whether the gateway ran before, and has to run after';
COMMENT ON COLUMN snapshots.from_image IS 'Docker''s id of the image before';
COMMENT ON COLUMN snapshots.from_version IS 'Version of OpenClaw in it';
COMMENT ON COLUMN snapshots.from_settings IS 'Limits, channel and provider before; secrets in it are sealed';
COMMENT ON COLUMN snapshots.to_image IS 'Docker''s id of the image after';
COMMENT ON COLUMN snapshots.to_version IS 'Version of OpenClaw in it';
COMMENT ON COLUMN snapshots.to_settings IS 'Limits, channel and provider after; secrets in it are sealed';
COMMENT ON COLUMN snapshots.files IS 'Files in the snapshot';
COMMENT ON COLUMN snapshots.bytes IS 'Bytes in the snapshot';
COMMENT ON COLUMN snapshots.method IS 'reflink: the file system shares the blocks; copy: it cannot';
COMMENT ON COLUMN snapshots.duration_ms IS 'How long the snapshot took';
COMMENT ON COLUMN snapshots.stopped_at IS 'When the gateway was stopped';
COMMENT ON COLUMN snapshots.down_ms IS 'From its stop until the gateway answered again';
COMMENT ON COLUMN snapshots.expires_at IS 'Kept until then';
COMMENT ON COLUMN snapshots.created_at IS 'When the change began';

CREATE TABLE rollout_members (
    job_id uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    instance_id text NOT NULL,
    wave integer NOT NULL,
    update_job_id uuid,
    status text NOT NULL DEFAULT 'waiting',
    error_message text,
    PRIMARY KEY (job_id, instance_id),
    CONSTRAINT rollout_members_status_known CHECK (status IN ('waiting', 'updating', 'updated', 'failed', 'skipped'))
);
COMMENT ON TABLE rollout_members IS 'Whom an update of everything is about, and how far it is with each';
COMMENT ON COLUMN rollout_members.job_id IS 'The update of everything';
COMMENT ON COLUMN rollout_members.instance_id IS 'Which instance';
COMMENT ON COLUMN rollout_members.wave IS 'In which wave, from 0';
COMMENT ON COLUMN rollout_members.update_job_id IS 'The job that updates it';
COMMENT ON COLUMN rollout_members.status IS 'waiting, updating, updated, failed or skipped';
COMMENT ON COLUMN rollout_members.error_message IS 'Why it failed or was skipped';

CREATE TABLE version_policy (
    singleton boolean PRIMARY KEY DEFAULT true,
    minimum_version text,
    refuse_start boolean NOT NULL DEFAULT false,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT version_policy_one_row CHECK (singleton)
);
INSERT INTO version_policy DEFAULT VALUES;
COMMENT ON TABLE version_policy IS 'Which versions of OpenClaw are known to be vulnerable: one row';
COMMENT ON COLUMN version_policy.singleton IS 'There is only one row';
COMMENT ON COLUMN version_policy.minimum_version IS 'Older versions are vulnerable; null: none is known to be';
COMMENT ON COLUMN version_policy.refuse_start IS 'Whether a vulnerable instance may be started';
COMMENT ON COLUMN version_policy.updated_at IS 'When it was last changed';
