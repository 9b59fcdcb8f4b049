CREATE TABLE identities (
    issuer text NOT NULL,
    subject text NOT NULL,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_user ON identities (user_id);
COMMENT ON TABLE identities IS 'Who people are at a provider of identities (OIDC)';
COMMENT ON COLUMN identities.issuer IS 'The provider, by its issuer URL';
COMMENT ON COLUMN identities.subject IS 'What the provider calls the person: it never changes there';
COMMENT ON COLUMN identities.user_id IS 'Who that is here';
COMMENT ON COLUMN identities.created_at IS 'When that became known';
COMMENT ON COLUMN identities.last_used_at IS 'When the person came by it last, to the minute';
