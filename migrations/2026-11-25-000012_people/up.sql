CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash bytea NOT NULL,
    user_agent text NOT NULL,
    client_ip text,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT sessions_hash_unique UNIQUE (token_hash)
);
CREATE INDEX sessions_user ON sessions (user_id, created_at);
CREATE INDEX sessions_expires ON sessions (expires_at);
COMMENT ON TABLE sessions IS 'Browsers that are signed in; what the cookie holds is never stored';
COMMENT ON COLUMN sessions.id IS 'UUIDv7';
COMMENT ON COLUMN sessions.user_id IS 'Who is signed in';
COMMENT ON COLUMN sessions.token_hash IS 'SHA-256 of the cookie''s value, which holds 256 random bits';
COMMENT ON COLUMN sessions.user_agent IS 'What the browser called itself when it signed in';
COMMENT ON COLUMN sessions.client_ip IS 'From where it was seen last';
COMMENT ON COLUMN sessions.created_at IS 'When it signed in';
COMMENT ON COLUMN sessions.last_seen_at IS 'Its last request, to the minute';
COMMENT ON COLUMN sessions.expires_at IS 'Refused from then on, and some time after the last request already';

CREATE TABLE setup_tokens (
    token_hash bytea PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE setup_tokens IS 'What makes the first administrator, once; empty as soon as there is somebody';
COMMENT ON COLUMN setup_tokens.token_hash IS 'SHA-256 of the token, which the API writes to its log when it starts';
COMMENT ON COLUMN setup_tokens.created_at IS 'When it was made';

-- Signing in made tokens before; what they are replaced by is not theirs.
ALTER TABLE api_tokens ALTER COLUMN kind SET DEFAULT 'personal';
COMMENT ON COLUMN api_tokens.kind IS 'personal: made by its owner; login: made by signing in, before there were sessions';
