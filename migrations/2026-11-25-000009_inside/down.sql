ALTER TABLE workers DROP COLUMN address;
