DROP FUNCTION promised_memory_mb;
ALTER TABLE workers DROP COLUMN memory_mb;
