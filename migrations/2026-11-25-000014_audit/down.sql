DROP TRIGGER audit_stays ON audit;
DROP FUNCTION audit_stays;
DROP INDEX audit_owner;
DROP INDEX audit_actor;
ALTER TABLE audit DROP COLUMN outcome;
