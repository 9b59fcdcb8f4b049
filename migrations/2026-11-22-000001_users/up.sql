CREATE TABLE users (
    id uuid PRIMARY KEY,
    email text NOT NULL,
    name text NOT NULL DEFAULT '',
    password_hash text NOT NULL,
    role text NOT NULL DEFAULT 'user',
    suspended_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_role_known CHECK (role IN ('user', 'admin')),
    CONSTRAINT users_email_length CHECK (length(email) BETWEEN 3 AND 254)
);
CREATE UNIQUE INDEX users_email_unique ON users (lower(email));

COMMENT ON TABLE users IS 'People who may sign in';
COMMENT ON COLUMN users.id IS 'UUIDv7';
COMMENT ON COLUMN users.email IS 'Sign-in name; unique without regard to case';
COMMENT ON COLUMN users.name IS 'What the person is called in the UI; may be empty';
COMMENT ON COLUMN users.password_hash IS 'Argon2id PHC string';
COMMENT ON COLUMN users.role IS 'user: own instances only; admin: the platform as well';
COMMENT ON COLUMN users.suspended_at IS 'Set while the account may not sign in';
COMMENT ON COLUMN users.created_at IS 'When the account was made';

CREATE TABLE api_tokens (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name text NOT NULL,
    kind text NOT NULL,
    token_hash bytea NOT NULL,
    last_used_at timestamptz,
    expires_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT api_tokens_kind_known CHECK (kind IN ('login', 'personal')),
    CONSTRAINT api_tokens_hash_unique UNIQUE (token_hash)
);
CREATE INDEX api_tokens_user ON api_tokens (user_id, created_at);

COMMENT ON TABLE api_tokens IS 'Bearer tokens; the token itself is shown once and never stored';
COMMENT ON COLUMN api_tokens.id IS 'UUIDv7';
COMMENT ON COLUMN api_tokens.user_id IS 'Whose rights the token carries';
COMMENT ON COLUMN api_tokens.name IS 'Chosen by its owner, to tell tokens apart';
COMMENT ON COLUMN api_tokens.kind IS 'login: made by POST /api/auth/login; personal: made by its owner';
COMMENT ON COLUMN api_tokens.token_hash IS 'SHA-256 of the whole token, which holds 256 random bits';
COMMENT ON COLUMN api_tokens.last_used_at IS 'Last request with it, to the minute';
COMMENT ON COLUMN api_tokens.expires_at IS 'Refused from then on; null: never';
COMMENT ON COLUMN api_tokens.revoked_at IS 'Refused from then on';
COMMENT ON COLUMN api_tokens.created_at IS 'When the token was made';
