SET LOCAL lock_timeout = '5s';

-- Which snapshots are needed: few of all.
CREATE INDEX snapshots_changing ON snapshots (instance_id) WHERE status = 'changing';
CREATE INDEX snapshots_kept ON snapshots (expires_at) WHERE status = 'kept';

-- The newest image, with which each instance of a list is compared.
CREATE INDEX images_ready ON images (current_since DESC NULLS LAST, created_at DESC) WHERE status = 'ready' AND removed_at IS NULL;
