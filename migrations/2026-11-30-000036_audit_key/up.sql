-- The primary key of a table that is partitioned by time holds the time as well.
CREATE UNIQUE INDEX CONCURRENTLY audit_id_at ON audit (id, at);
