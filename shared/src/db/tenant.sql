-- The role under which people's own rows are asked for, and what it may: run at each start, after the migrations. Which rows it
-- sees is said by policies. A table that is not named here is closed to it: whoever adds one decides.
DO $$
BEGIN
    -- Roles are the whole server's: another database may have made it already, this very moment perhaps.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'clawdeploy_tenant') THEN
        BEGIN
            CREATE ROLE clawdeploy_tenant NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    IF NOT pg_has_role(current_user, 'clawdeploy_tenant', 'MEMBER') THEN
        GRANT clawdeploy_tenant TO CURRENT_USER;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the database role clawdeploy_tenant is missing, or % is no member of it; as a superuser: '
            'CREATE ROLE clawdeploy_tenant NOLOGIN; GRANT clawdeploy_tenant TO %', current_user, quote_ident(current_user);
END
$$;

GRANT USAGE ON SCHEMA public TO clawdeploy_tenant;

GRANT SELECT, INSERT, UPDATE ON instances, jobs TO clawdeploy_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON terminals TO clawdeploy_tenant;
GRANT SELECT, INSERT, UPDATE ON api_tokens TO clawdeploy_tenant;
GRANT SELECT, UPDATE, DELETE ON sessions TO clawdeploy_tenant;
GRANT SELECT, INSERT ON job_events, audit TO clawdeploy_tenant;
-- The right to change the name is the one to lock the row.
GRANT SELECT, UPDATE (name) ON recoverable_instances TO clawdeploy_tenant;
-- instance_stats is the former name of instance_usage, for programs of the previous release.
GRANT SELECT ON ports, snapshots, instance_usage, instance_stats TO clawdeploy_tenant;
-- Of people neither passwords nor the secrets of second factors. The right to change the name is the one to lock the row.
GRANT SELECT (id, email, name, role, suspended_at, created_at, totp_confirmed_at, max_instances, max_memory_mb,
    max_cpu_millis, max_terminals), UPDATE (name) ON users TO clawdeploy_tenant;
-- What is the same for everybody.
GRANT SELECT ON workers, queue_pauses, version_policy, images TO clawdeploy_tenant;
