DROP TABLE attempts;
ALTER TABLE api_tokens DROP COLUMN scope;
DROP TABLE invitations;
DROP TABLE recovery_codes;
ALTER TABLE users
    DROP COLUMN totp_sealed,
    DROP COLUMN totp_confirmed_at,
    DROP COLUMN totp_last_step,
    DROP COLUMN max_instances,
    DROP COLUMN max_memory_mb,
    DROP COLUMN max_cpu_millis,
    DROP COLUMN max_terminals;
