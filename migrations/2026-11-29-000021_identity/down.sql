ALTER TABLE workers DROP COLUMN standby_code, DROP COLUMN standby_message;
DROP TABLE installation;
