ALTER TABLE workers ADD COLUMN address text;
COMMENT ON COLUMN workers.address IS 'Where the API reaches it, as 127.0.0.1:port or unix:/path; null: nowhere';
