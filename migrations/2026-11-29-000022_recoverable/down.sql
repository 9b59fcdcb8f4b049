-- Programs of that time have no name for such a job.
DELETE FROM jobs WHERE kind = 'restore';
ALTER TABLE jobs DROP CONSTRAINT jobs_kind_known;
ALTER TABLE jobs ADD CONSTRAINT jobs_kind_known CHECK (kind IN ('provision', 'start', 'stop', 'restart', 'delete', 'rebuild_image', 'update', 'rollback', 'recreate', 'update_all', 'noop'));
DROP TABLE recoverable_instances;
