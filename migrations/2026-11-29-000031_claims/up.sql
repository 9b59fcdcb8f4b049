-- Programs of before claim whatever waits in their queue, and trip over a kind that they do not know: the job, and those claimed in
-- the same moment, would wait for their leases to run out and count as crashed. A program that chooses by kind says so with
-- `clawdeploy.claims`; to others such jobs are not given. To be removed once no program of that time can be at work any more.
SET LOCAL lock_timeout = '5s';

CREATE FUNCTION jobs_claimed_knowingly() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('clawdeploy.claims', true) = 'by_kind' THEN
        RETURN NEW;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION jobs_claimed_knowingly IS 'Keeps jobs of newer kinds from programs that do not choose by kind';
CREATE TRIGGER jobs_claimed_knowingly BEFORE UPDATE OF status ON jobs FOR EACH ROW
    WHEN (OLD.status = 'queued' AND NEW.status = 'running' AND NEW.kind NOT IN
        ('provision', 'start', 'stop', 'restart', 'delete', 'rebuild_image', 'update', 'rollback', 'recreate', 'update_all', 'noop'))
    EXECUTE FUNCTION jobs_claimed_knowingly();
