CREATE TABLE routing (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    generation bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE routing IS 'At most one row: how often the map of nginx was read from here';
COMMENT ON COLUMN routing.singleton IS 'True: there is one row';
COMMENT ON COLUMN routing.generation IS 'Number of the last reading; a map with a higher one is never older';

CREATE TABLE ready_gateways (
    instance_id text PRIMARY KEY REFERENCES instances (id) ON DELETE CASCADE,
    job_id uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt bigint NOT NULL
);
CREATE INDEX ready_gateways_job ON ready_gateways (job_id);
COMMENT ON TABLE ready_gateways IS 'Gateways that answered a job that is not at its end yet: they are routed before their instance is running';
COMMENT ON COLUMN ready_gateways.instance_id IS 'Instance whose gateway answered';
COMMENT ON COLUMN ready_gateways.job_id IS 'Job that found it so; the row counts while that job runs and is not being undone';
COMMENT ON COLUMN ready_gateways.attempt IS 'Claim of the job that found it so; the row does not count for a later one';
