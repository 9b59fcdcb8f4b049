DROP INDEX snapshots_stuck;
ALTER TABLE snapshots DROP COLUMN stuck_at;
ALTER TABLE snapshots DROP COLUMN restored_at;
ALTER TABLE snapshots DROP COLUMN ran_before;
COMMENT ON COLUMN snapshots.was_running IS 'Whether the gateway ran before, and has to run after';
ALTER TABLE jobs DROP COLUMN undo;
