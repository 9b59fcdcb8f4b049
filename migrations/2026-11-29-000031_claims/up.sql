-- Programs of earlier releases claim every job that waits in their queue. They cannot read a job of a kind that they do
-- not know: that job, and all jobs claimed together with it, would stay running until their leases expire, and would
-- count as crashed. A program that selects jobs by kind announces this with `clawdeploy.claims`. This trigger keeps
-- jobs of newer kinds from all other programs. Remove it when no such program can be running any more.
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
