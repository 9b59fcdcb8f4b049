SET LOCAL lock_timeout = '5s';

ALTER TABLE instances
    ADD COLUMN sleep_minutes integer,
    ADD COLUMN asleep_since timestamptz,
    ADD COLUMN wake_at timestamptz,
    ADD COLUMN woken_at timestamptz,
    ADD COLUMN woken_by text;
COMMENT ON COLUMN instances.sleep_minutes IS 'Idle minutes after which it falls asleep, as its owner wants; 0: never; null: as the setting says';
COMMENT ON COLUMN instances.asleep_since IS 'When it was stopped because it was idle; null: it was not, or somebody has wanted another state since';
COMMENT ON COLUMN instances.wake_at IS 'When its own schedule is due while it sleeps; null: never';
COMMENT ON COLUMN instances.woken_at IS 'When it was last woken; null: never';
COMMENT ON COLUMN instances.woken_by IS 'What woke it last: address, dashboard, terminal, schedule, start';

CREATE TABLE idle_checks (
    instance_id text PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    checked_at timestamptz NOT NULL DEFAULT now(),
    idle_since timestamptz
);
COMMENT ON TABLE idle_checks IS 'When each instance that may fall asleep was last looked at; apart from instances, as it changes every few minutes';
COMMENT ON COLUMN idle_checks.instance_id IS 'The instance';
COMMENT ON COLUMN idle_checks.checked_at IS 'When a worker last took it to see whether it is idle';
COMMENT ON COLUMN idle_checks.idle_since IS 'First of the checks in a row that found it idle; null: the last one did not';
