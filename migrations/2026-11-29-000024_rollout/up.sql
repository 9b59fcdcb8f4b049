-- Images: what is ours is what the table says. A label is inherited by whatever others build on an image.
ALTER TABLE images ADD COLUMN tags text[] NOT NULL DEFAULT '{}';
ALTER TABLE images ADD COLUMN step_images text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN images.tags IS 'Tags that the build gave to its image';
COMMENT ON COLUMN images.step_images IS 'Images that single steps of the build made, by the beginning of their ids; what is left of them is removed';

-- Updates of everything: whose fault a failure was.
ALTER TABLE snapshots ADD COLUMN came_back boolean;
COMMENT ON COLUMN snapshots.came_back IS 'After the change was undone: whether the gateway answered again as it was before; null: not tried';
ALTER TABLE rollout_members ADD COLUMN fault text;
ALTER TABLE rollout_members ADD COLUMN ran boolean NOT NULL DEFAULT false;
ALTER TABLE rollout_members ADD CONSTRAINT rollout_members_fault_known CHECK (fault IN ('image', 'instance', 'platform'));
COMMENT ON COLUMN rollout_members.fault IS 'Why it failed: image, the old image came up again; instance, the old one did not come up either; platform, neither was tried to its end';
COMMENT ON COLUMN rollout_members.ran IS 'Whether its gateway answered when its turn came, so that its update says something about the image';
-- Who failed last time comes last.
CREATE INDEX rollout_members_by_instance ON rollout_members (instance_id, job_id DESC);

-- Boots are bound by CPU and are admitted in turn.
CREATE TABLE boots (
    job_id uuid PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    attempt bigint NOT NULL,
    by_system boolean NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    admitted_at timestamptz
);
COMMENT ON TABLE boots IS 'Jobs that boot a gateway or wait for their turn to; a row is valid while that attempt of the job runs, and is removed with the next request after that';
COMMENT ON COLUMN boots.job_id IS 'The job';
COMMENT ON COLUMN boots.attempt IS 'Which claim of the job';
COMMENT ON COLUMN boots.by_system IS 'Whether no person asked for the job: people go first';
COMMENT ON COLUMN boots.asked_at IS 'Since when it waits';
COMMENT ON COLUMN boots.admitted_at IS 'Since when it boots; null: it waits';
