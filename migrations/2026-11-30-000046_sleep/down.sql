DROP TABLE idle_checks;
ALTER TABLE instances
    DROP COLUMN sleep_minutes,
    DROP COLUMN asleep_since,
    DROP COLUMN wake_at,
    DROP COLUMN woken_at,
    DROP COLUMN woken_by;
