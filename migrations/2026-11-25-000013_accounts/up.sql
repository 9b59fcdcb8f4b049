ALTER TABLE users
    ADD COLUMN totp_sealed text,
    ADD COLUMN totp_confirmed_at timestamptz,
    ADD COLUMN totp_last_step bigint,
    ADD COLUMN max_instances integer,
    ADD COLUMN max_memory_mb integer,
    ADD COLUMN max_cpu_millis integer,
    ADD COLUMN max_terminals integer,
    ADD CONSTRAINT users_totp_whole CHECK (totp_confirmed_at IS NULL OR totp_sealed IS NOT NULL),
    ADD CONSTRAINT users_quotas_not_negative
        CHECK (max_instances >= 0 AND max_memory_mb >= 0 AND max_cpu_millis >= 0 AND max_terminals >= 0);
COMMENT ON COLUMN users.password_hash IS 'Argon2id PHC string; anything else is nobody''s password: the account waits for an invitation to be accepted';
COMMENT ON COLUMN users.totp_sealed IS 'Sealed secret of the authenticator app';
COMMENT ON COLUMN users.totp_confirmed_at IS 'Since when signing in needs a code of it; null: it does not';
COMMENT ON COLUMN users.totp_last_step IS 'Half minute of the last code that was accepted: none is good twice';
COMMENT ON COLUMN users.max_instances IS 'Instances that the person may have; null: what the installation allows';
COMMENT ON COLUMN users.max_memory_mb IS 'Memory that the limits of all of them may come to, in MiB; null: what the installation allows';
COMMENT ON COLUMN users.max_cpu_millis IS 'CPU that the limits of all of them may come to, in thousandths of a core; null: what the installation allows';
COMMENT ON COLUMN users.max_terminals IS 'Terminals that the person may have open; null: what the installation allows';

CREATE TABLE recovery_codes (
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    code_hash bytea NOT NULL,
    PRIMARY KEY (user_id, code_hash)
);
COMMENT ON TABLE recovery_codes IS 'Codes for whoever has lost the authenticator app; each goes when it is used';
COMMENT ON COLUMN recovery_codes.user_id IS 'Whose code it is';
COMMENT ON COLUMN recovery_codes.code_hash IS 'SHA-256 of the code, which holds 80 random bits';

CREATE TABLE invitations (
    user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    token_hash bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT invitations_hash_unique UNIQUE (token_hash)
);
COMMENT ON TABLE invitations IS 'People who may set a password, once: new ones, and those whose password was reset';
COMMENT ON COLUMN invitations.user_id IS 'Who';
COMMENT ON COLUMN invitations.token_hash IS 'SHA-256 of the token, which is shown once to the administrator who made it';
COMMENT ON COLUMN invitations.created_at IS 'When it was made';
COMMENT ON COLUMN invitations.expires_at IS 'Refused from then on';

ALTER TABLE api_tokens
    ADD COLUMN scope text NOT NULL DEFAULT 'admin',
    ADD CONSTRAINT api_tokens_scope_known CHECK (scope IN ('read', 'operate', 'admin'));
COMMENT ON COLUMN api_tokens.scope IS 'read: only looks; operate: also changes the owner''s instances; admin: everything that the owner may, the account itself included';

CREATE TABLE attempts (
    key text NOT NULL,
    name text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, key)
);
CREATE INDEX attempts_key ON attempts (key, at);
CREATE INDEX attempts_at ON attempts (at);
COMMENT ON TABLE attempts IS 'Attempts at what may be guessed, of the last hour, while Redis does not count them';
COMMENT ON COLUMN attempts.key IS 'Digest of the account or network under which it counts';
COMMENT ON COLUMN attempts.name IS 'Tells attempts apart';
COMMENT ON COLUMN attempts.at IS 'When it was made';
