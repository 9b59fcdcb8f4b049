DROP INDEX IF EXISTS audit_id_at;
