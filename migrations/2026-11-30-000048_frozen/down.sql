ALTER TABLE idle_checks DROP COLUMN frozen_since, DROP COLUMN suspension;
