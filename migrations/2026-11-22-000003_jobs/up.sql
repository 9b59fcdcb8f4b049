CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL,
    queue text NOT NULL,
    instance_id text,
    owner_id uuid,
    requested_by uuid,
    payload jsonb NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'queued',
    attempt bigint NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,
    run_at timestamptz NOT NULL DEFAULT now(),
    leased_by text,
    lease_until timestamptz,
    unwinding_to text,
    cancel_requested_at timestamptz,
    progress smallint NOT NULL DEFAULT 0,
    step text,
    error_code text,
    error_message text,
    turn bigint NOT NULL DEFAULT 0,
    depends_on uuid REFERENCES jobs (id) ON DELETE SET NULL,
    dedupe_key text,
    idempotency_key text,
    idempotency_hash bytea,
    request_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT jobs_seq_unique UNIQUE (seq),
    CONSTRAINT jobs_kind_known CHECK (kind IN ('provision', 'start', 'stop', 'restart', 'delete', 'rebuild_image', 'noop')),
    CONSTRAINT jobs_queue_known CHECK (queue IN ('lifecycle', 'builds')),
    CONSTRAINT jobs_status_known CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    CONSTRAINT jobs_unwinding_known CHECK (unwinding_to IN ('failed', 'cancelled')),
    CONSTRAINT jobs_progress_percent CHECK (progress BETWEEN 0 AND 100),
    CONSTRAINT jobs_lease_while_running CHECK ((status = 'running') = (leased_by IS NOT NULL AND lease_until IS NOT NULL)),
    CONSTRAINT jobs_finished_when_terminal CHECK ((status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL))
);
-- Each job is updated twice at least, and every index that is not partial gets an entry each time: there are as few of
-- those as can be, which doubled what the queue does in a second.
ALTER TABLE jobs SET (fillfactor = 70);
-- The hard guarantee that nothing runs beside anything else on one instance.
CREATE UNIQUE INDEX jobs_one_running_per_instance ON jobs (instance_id) WHERE status = 'running';
-- Single flight: one open job for each key; whoever asks meanwhile joins it.
CREATE UNIQUE INDEX jobs_open_dedupe ON jobs (dedupe_key) WHERE status IN ('queued', 'running');
CREATE UNIQUE INDEX jobs_idempotency ON jobs (requested_by, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX jobs_due ON jobs (queue, turn, seq) WHERE status = 'queued';
CREATE INDEX jobs_last_turn ON jobs (queue, owner_id, turn) WHERE status = 'queued';
CREATE INDEX jobs_leases ON jobs (lease_until) WHERE status = 'running';
CREATE INDEX jobs_open_by_instance ON jobs (instance_id, seq) WHERE status IN ('queued', 'running');
CREATE INDEX jobs_by_instance ON jobs (instance_id, seq DESC) WHERE instance_id IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_dead ON jobs (seq DESC) WHERE status = 'failed';

COMMENT ON TABLE jobs IS 'Work that was accepted; this table is the truth, Redis only rings the bell';
COMMENT ON COLUMN jobs.id IS 'UUIDv7';
COMMENT ON COLUMN jobs.seq IS 'Order of arrival';
COMMENT ON COLUMN jobs.kind IS 'What is to be done';
COMMENT ON COLUMN jobs.queue IS 'Which workers do it: lifecycle or builds';
COMMENT ON COLUMN jobs.instance_id IS 'On which instance; kept when the instance is gone, hence no foreign key';
COMMENT ON COLUMN jobs.owner_id IS 'Who may see it: the owner of the instance when the job was made';
COMMENT ON COLUMN jobs.requested_by IS 'Who asked; null: the system itself';
COMMENT ON COLUMN jobs.payload IS 'Arguments of the kind; never a secret';
COMMENT ON COLUMN jobs.status IS 'queued, running, succeeded, failed or cancelled; a retry is queued again with a later run_at';
COMMENT ON COLUMN jobs.attempt IS 'Claims so far; the fencing number of every write that the claim''s holder makes';
COMMENT ON COLUMN jobs.failures IS 'Attempts that ended in an error';
COMMENT ON COLUMN jobs.crashes IS 'Attempts that ended because the worker vanished';
COMMENT ON COLUMN jobs.run_at IS 'Not before then';
COMMENT ON COLUMN jobs.leased_by IS 'Worker that runs it';
COMMENT ON COLUMN jobs.lease_until IS 'Whoever holds it must have renewed by then, on the database''s clock';
COMMENT ON COLUMN jobs.unwinding_to IS 'Set once the job can only end so: its steps are being undone';
COMMENT ON COLUMN jobs.cancel_requested_at IS 'Somebody asked for it to stop';
COMMENT ON COLUMN jobs.progress IS 'Percent';
COMMENT ON COLUMN jobs.step IS 'The step under way, or the last one';
COMMENT ON COLUMN jobs.error_code IS 'Stable code of the last error';
COMMENT ON COLUMN jobs.error_message IS 'The last error, for a person';
COMMENT ON COLUMN jobs.turn IS 'Place in the queue that is fair between owners: an owner''s n-th waiting job is n turns behind the head';
COMMENT ON COLUMN jobs.depends_on IS 'Not before that job has ended; if it did not succeed, this one fails too';
COMMENT ON COLUMN jobs.dedupe_key IS 'At most one open job has it';
COMMENT ON COLUMN jobs.idempotency_key IS 'Idempotency-Key of the request that made it';
COMMENT ON COLUMN jobs.idempotency_hash IS 'SHA-256 of that request, to tell a retry from a reuse of the key';
COMMENT ON COLUMN jobs.request_id IS 'Id of the request that made it, for the logs';
COMMENT ON COLUMN jobs.created_at IS 'When it was accepted';
COMMENT ON COLUMN jobs.started_at IS 'First claim';
COMMENT ON COLUMN jobs.finished_at IS 'When it became succeeded, failed or cancelled';

-- Fair queueing by start time: a job waits one turn behind its owner's last waiting one, but never before the head of
-- the queue. Whoever asks for five hundred things is thus not in the way of who asks for one.
CREATE FUNCTION jobs_take_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.turn := greatest(
        (SELECT min(head.turn) FROM jobs head WHERE head.queue = NEW.queue AND head.status = 'queued'),
        (SELECT max(own.turn) + 1 FROM jobs own
          WHERE own.queue = NEW.queue AND own.owner_id = NEW.owner_id AND own.status = 'queued'),
        0);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION jobs_take_turn IS 'Gives a new job its place in the queue';
CREATE TRIGGER jobs_take_turn BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION jobs_take_turn();

CREATE TABLE job_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt bigint NOT NULL,
    kind text NOT NULL,
    step text,
    message text NOT NULL DEFAULT '',
    progress smallint,
    duration_ms bigint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT job_events_kind_known CHECK (kind IN ('accepted', 'claimed', 'step_started', 'step_done', 'step_failed', 'step_undone', 'log', 'retry', 'handed_back', 'lease_lost', 'cancel_requested', 'finished'))
);
CREATE INDEX job_events_by_job ON job_events (job_id, id);

COMMENT ON TABLE job_events IS 'The story of each job, in order';
COMMENT ON COLUMN job_events.id IS 'Order; the id of the server-sent event';
COMMENT ON COLUMN job_events.job_id IS 'Whose story';
COMMENT ON COLUMN job_events.attempt IS 'Which claim wrote it; 0: none';
COMMENT ON COLUMN job_events.kind IS 'What happened';
COMMENT ON COLUMN job_events.step IS 'In which step';
COMMENT ON COLUMN job_events.message IS 'For a person';
COMMENT ON COLUMN job_events.progress IS 'Percent of the job at that moment';
COMMENT ON COLUMN job_events.duration_ms IS 'How long the step took';
COMMENT ON COLUMN job_events.created_at IS 'When, on the database''s clock';
