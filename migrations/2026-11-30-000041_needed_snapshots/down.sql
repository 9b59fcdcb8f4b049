DROP INDEX images_ready;
DROP INDEX snapshots_kept;
DROP INDEX snapshots_changing;
