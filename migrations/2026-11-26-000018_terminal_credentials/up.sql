ALTER TABLE terminals ADD COLUMN good_until timestamptz;
COMMENT ON COLUMN terminals.good_until IS 'When the token of the provider of identities expires that it was opened with, and it ends; null: it was opened otherwise';
