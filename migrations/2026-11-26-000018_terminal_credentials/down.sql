ALTER TABLE terminals DROP COLUMN good_until;
