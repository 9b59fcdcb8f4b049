-- Sleeping instances whose gateways are frozen, not stopped: they wake at once, and keep their memory meanwhile.
SET LOCAL lock_timeout = '5s';

ALTER TABLE idle_checks ADD COLUMN frozen_since timestamptz, ADD COLUMN suspension text;
COMMENT ON COLUMN idle_checks.frozen_since IS 'When its gateway was frozen because it was idle; null: it is not, or it was started or stopped since';
COMMENT ON COLUMN idle_checks.suspension IS 'Id of the suspension from which a frozen gateway is released when it is thawed';
CREATE INDEX idle_checks_frozen ON idle_checks (frozen_since) WHERE frozen_since IS NOT NULL;
