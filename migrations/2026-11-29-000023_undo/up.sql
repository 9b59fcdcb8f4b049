-- The undo of a job has a budget of its own, and one that is given up can be taken up again.
ALTER TABLE jobs ADD COLUMN undo jsonb;
COMMENT ON COLUMN jobs.undo IS 'How undoing it goes: failures (not counting those because something could not be reached), since (of the first failure), and code and message (what the job had failed of, where its undo was given up); null: its undo has not failed';

-- A change that is stuck keeps its status, so that older programs keep its files.
ALTER TABLE snapshots ADD COLUMN ran_before boolean;
ALTER TABLE snapshots ADD COLUMN restored_at timestamptz;
ALTER TABLE snapshots ADD COLUMN stuck_at timestamptz;
COMMENT ON COLUMN snapshots.was_running IS 'Whether the gateway has to run after the change';
COMMENT ON COLUMN snapshots.ran_before IS 'Whether the gateway has to run after an undo; null: the same as was_running';
COMMENT ON COLUMN snapshots.restored_at IS 'When the files were put back; null: they were not';
COMMENT ON COLUMN snapshots.stuck_at IS 'When undoing the change was given up; null: it was not';
CREATE INDEX snapshots_stuck ON snapshots (instance_id) WHERE stuck_at IS NOT NULL;
