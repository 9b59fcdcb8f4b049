CREATE TABLE terminals (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_id uuid,
    session_id uuid,
    instance_id text NOT NULL,
    worker text NOT NULL,
    command text CHECK (command IN ('openclaw configure', 'openclaw onboard', 'openclaw doctor', 'openclaw channels add')),
    ticket_hash bytea,
    ticket_expires_at timestamptz,
    close_reason text CHECK (close_reason IN ('closed', 'stopping', 'revoked', 'signed_out')),
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    end_reason text CHECK (end_reason IN ('exited', 'closed', 'detached', 'idle', 'lifetime', 'stopping', 'stopped', 'revoked', 'signed_out', 'draining', 'lost')),
    exit_code integer,
    bytes_in bigint NOT NULL DEFAULT 0,
    bytes_out bigint NOT NULL DEFAULT 0,
    CHECK ((ended_at IS NULL) = (end_reason IS NULL)),
    CHECK ((ticket_hash IS NULL) = (ticket_expires_at IS NULL))
);
CREATE INDEX terminals_open_user ON terminals (user_id) WHERE ended_at IS NULL;
CREATE INDEX terminals_open_instance ON terminals (instance_id) WHERE ended_at IS NULL;
CREATE INDEX terminals_open_worker ON terminals (worker) WHERE ended_at IS NULL;
CREATE INDEX terminals_ended ON terminals (ended_at) WHERE ended_at IS NOT NULL;
COMMENT ON TABLE terminals IS 'Terminals in instances'' containers: which worker holds each, and how each ended; forgotten a month later';
COMMENT ON COLUMN terminals.id IS 'UUIDv7';
COMMENT ON COLUMN terminals.user_id IS 'Who opened it, the only one who may attach';
COMMENT ON COLUMN terminals.token_id IS 'API token that it was opened with; when that is no longer good, the terminal ends';
COMMENT ON COLUMN terminals.session_id IS 'Session that it was opened in; when that is over, the terminal ends';
COMMENT ON COLUMN terminals.instance_id IS 'Instance in whose container it is; kept after the instance is gone';
COMMENT ON COLUMN terminals.worker IS 'Worker that holds it, and with which it ends';
COMMENT ON COLUMN terminals.command IS 'What runs in it; null: a shell';
COMMENT ON COLUMN terminals.ticket_hash IS 'SHA-256 of the one ticket that attaches a WebSocket; null: none, or it was used';
COMMENT ON COLUMN terminals.ticket_expires_at IS 'Until when that ticket is good';
COMMENT ON COLUMN terminals.close_reason IS 'Why its worker is asked to end it; null: it is not';
COMMENT ON COLUMN terminals.started_at IS 'When it was asked for';
COMMENT ON COLUMN terminals.ended_at IS 'When it ended; null: it is open';
COMMENT ON COLUMN terminals.end_reason IS 'Why it ended';
COMMENT ON COLUMN terminals.exit_code IS 'What its program ended with, where it ended by itself';
COMMENT ON COLUMN terminals.bytes_in IS 'Bytes that were typed';
COMMENT ON COLUMN terminals.bytes_out IS 'Bytes that its program printed';
