ALTER TABLE audit
    ADD COLUMN outcome text NOT NULL DEFAULT 'success',
    ADD CONSTRAINT audit_outcome_known CHECK (outcome IN ('success', 'failure'));
COMMENT ON COLUMN audit.outcome IS 'success: it was done; failure: it was refused';
CREATE INDEX audit_actor ON audit (actor_id, id DESC);
CREATE INDEX audit_owner ON audit (owner_id, id DESC);

CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of audit are only ever added';
END
$$;
CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
