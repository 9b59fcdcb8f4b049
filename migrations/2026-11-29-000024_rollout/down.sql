DROP TABLE boots;
DROP INDEX rollout_members_by_instance;
ALTER TABLE rollout_members DROP COLUMN ran;
ALTER TABLE rollout_members DROP COLUMN fault;
ALTER TABLE snapshots DROP COLUMN came_back;
ALTER TABLE images DROP COLUMN step_images;
ALTER TABLE images DROP COLUMN tags;
