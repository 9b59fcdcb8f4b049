-- Renames the table to the name that the API and the UI use for its content. Programs of the previous release read and
-- write it under its former name, for which there is a view. Remove the view one release later.
SET LOCAL lock_timeout = '5s';

ALTER TABLE instance_stats RENAME TO instance_usage;
ALTER INDEX instance_stats_pkey RENAME TO instance_usage_pkey;
ALTER INDEX instance_stats_at RENAME TO instance_usage_at;
-- With the rights of the caller, so that row-level security applies.
CREATE VIEW instance_stats WITH (security_invoker = true) AS SELECT * FROM instance_usage;
ALTER VIEW instance_stats ALTER COLUMN disk_known SET DEFAULT true;
COMMENT ON VIEW instance_stats IS 'Former name of instance_usage, for programs of the previous release';
