-- Addresses and names stay as they are: programs that are older take them.
DROP INDEX users_email_beyond_ascii;
COMMENT ON COLUMN users.email IS 'Sign-in name; unique without regard to case';
