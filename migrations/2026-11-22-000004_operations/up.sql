CREATE TABLE workers (
    id text PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    queues text[] NOT NULL,
    concurrency integer NOT NULL,
    running integer NOT NULL DEFAULT 0,
    draining boolean NOT NULL DEFAULT false,
    drain_requested_at timestamptz,
    docker_error text,
    started_at timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE workers IS 'Worker processes that are alive or were a short while ago';
COMMENT ON COLUMN workers.id IS 'Host, process id and a random part: new with every start';
COMMENT ON COLUMN workers.host IS 'Host name';
COMMENT ON COLUMN workers.pid IS 'Process id on that host';
COMMENT ON COLUMN workers.version IS 'Version of the program';
COMMENT ON COLUMN workers.queues IS 'Queues it serves';
COMMENT ON COLUMN workers.concurrency IS 'Jobs it runs at once, all queues together';
COMMENT ON COLUMN workers.running IS 'Jobs it runs now';
COMMENT ON COLUMN workers.draining IS 'It takes nothing new and ends when its jobs have';
COMMENT ON COLUMN workers.drain_requested_at IS 'An administrator asked it to drain';
COMMENT ON COLUMN workers.docker_error IS 'Why it cannot reach its Docker engine; null: it can';
COMMENT ON COLUMN workers.started_at IS 'When it started';
COMMENT ON COLUMN workers.heartbeat_at IS 'Last sign of life';

CREATE TABLE queue_pauses (
    queue text PRIMARY KEY,
    paused_by uuid,
    paused_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT queue_pauses_queue_known CHECK (queue IN ('lifecycle', 'builds'))
);
COMMENT ON TABLE queue_pauses IS 'Queues that an administrator paused; what runs goes on, nothing new is claimed';
COMMENT ON COLUMN queue_pauses.queue IS 'Which queue';
COMMENT ON COLUMN queue_pauses.paused_by IS 'Who paused it';
COMMENT ON COLUMN queue_pauses.paused_at IS 'Since when';

CREATE TABLE images (
    id uuid PRIMARY KEY,
    job_id uuid NOT NULL,
    source text NOT NULL,
    version text NOT NULL,
    status text NOT NULL,
    image_id text,
    size_bytes bigint,
    log text NOT NULL DEFAULT '',
    error_message text,
    requested_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT images_job_unique UNIQUE (job_id),
    CONSTRAINT images_source_known CHECK (source IN ('release')),
    CONSTRAINT images_status_known CHECK (status IN ('building', 'ready', 'failed'))
);
CREATE INDEX images_created ON images (created_at DESC);
COMMENT ON TABLE images IS 'Builds of the shared OpenClaw image';
COMMENT ON COLUMN images.id IS 'UUIDv7';
COMMENT ON COLUMN images.job_id IS 'The job that builds it';
COMMENT ON COLUMN images.source IS 'release: the npm package, by the Dockerfile in deploy/openclaw';
COMMENT ON COLUMN images.version IS 'Version of OpenClaw';
COMMENT ON COLUMN images.status IS 'building, ready or failed';
COMMENT ON COLUMN images.image_id IS 'Docker''s id of the result';
COMMENT ON COLUMN images.size_bytes IS 'Its size as Docker counts it';
COMMENT ON COLUMN images.log IS 'What the build printed, its last 256 KiB';
COMMENT ON COLUMN images.error_message IS 'Why the build failed';
COMMENT ON COLUMN images.requested_by IS 'Who asked';
COMMENT ON COLUMN images.created_at IS 'When the build began';
COMMENT ON COLUMN images.finished_at IS 'When it ended';

CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor_id uuid,
    actor text NOT NULL,
    action text NOT NULL,
    target_kind text NOT NULL,
    target_id text NOT NULL,
    owner_id uuid,
    detail jsonb NOT NULL DEFAULT '{}',
    request_id text,
    client_ip text
);
CREATE INDEX audit_at ON audit (at DESC);
CREATE INDEX audit_target ON audit (target_kind, target_id, id DESC);
COMMENT ON TABLE audit IS 'Who changed what; rows are only ever added';
COMMENT ON COLUMN audit.id IS 'Order';
COMMENT ON COLUMN audit.at IS 'When';
COMMENT ON COLUMN audit.actor_id IS 'Who; null: the system, or nobody signed in';
COMMENT ON COLUMN audit.actor IS 'E-mail of the actor at that time, or the name of the program';
COMMENT ON COLUMN audit.action IS 'What was done, as noun.verb';
COMMENT ON COLUMN audit.target_kind IS 'instance, job, token, user, image, queue, worker or reconciler';
COMMENT ON COLUMN audit.target_id IS 'Which one';
COMMENT ON COLUMN audit.owner_id IS 'Whose it was';
COMMENT ON COLUMN audit.detail IS 'More, never a secret';
COMMENT ON COLUMN audit.request_id IS 'Id of the request, for the logs';
COMMENT ON COLUMN audit.client_ip IS 'Where the request came from';
