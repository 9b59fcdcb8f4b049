DROP TABLE job_events;
DROP TABLE jobs;
DROP FUNCTION jobs_take_turn;
