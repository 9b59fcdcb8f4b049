DROP TRIGGER jobs_claimed_knowingly ON jobs;
DROP FUNCTION jobs_claimed_knowingly;
