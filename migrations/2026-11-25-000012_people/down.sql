ALTER TABLE api_tokens ALTER COLUMN kind DROP DEFAULT;
DROP TABLE setup_tokens;
DROP TABLE sessions;
