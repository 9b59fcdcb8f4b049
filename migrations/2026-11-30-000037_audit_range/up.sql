-- Proves up to when the rows of audit go, so that the next migration can attach the table as a partition without reading
-- it under a lock. It leaves at least a month to the day at which it would refuse rows: the next migration drops it. Each
-- step is a transaction of its own, because the check takes a lock for a moment and its validation takes long. A row from
-- the future, of a clock that was wrong, is within it.
BEGIN;
ALTER TABLE audit DROP CONSTRAINT IF EXISTS audit_before;
DO $$
BEGIN
    EXECUTE format('ALTER TABLE audit ADD CONSTRAINT audit_before CHECK (at < %L) NOT VALID',
        (date_trunc('month', greatest(now(), (SELECT max(at) FROM audit)) AT TIME ZONE 'UTC') + interval '2 months')
            AT TIME ZONE 'UTC');
END
$$;
COMMIT;
BEGIN;
ALTER TABLE audit VALIDATE CONSTRAINT audit_before;
COMMIT;
