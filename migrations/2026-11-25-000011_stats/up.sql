CREATE TABLE instance_stats (
    instance_id text NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    at timestamptz NOT NULL,
    cpu_ns bigint NOT NULL,
    memory_bytes bigint NOT NULL,
    memory_limit_bytes bigint NOT NULL,
    network_rx_bytes bigint NOT NULL,
    network_tx_bytes bigint NOT NULL,
    disk_bytes bigint NOT NULL,
    pids bigint NOT NULL,
    PRIMARY KEY (instance_id, at)
);
CREATE INDEX instance_stats_at ON instance_stats (at);
COMMENT ON TABLE instance_stats IS 'What running instances have used: one point a minute, kept for a day';
COMMENT ON COLUMN instance_stats.instance_id IS 'Instance';
COMMENT ON COLUMN instance_stats.at IS 'The minute';
COMMENT ON COLUMN instance_stats.cpu_ns IS 'CPU time since the container was started, in nanoseconds';
COMMENT ON COLUMN instance_stats.memory_bytes IS 'Memory in use, without what the kernel can take back';
COMMENT ON COLUMN instance_stats.memory_limit_bytes IS 'Memory that it may use';
COMMENT ON COLUMN instance_stats.network_rx_bytes IS 'Bytes received since the container was started';
COMMENT ON COLUMN instance_stats.network_tx_bytes IS 'Bytes sent since the container was started';
COMMENT ON COLUMN instance_stats.disk_bytes IS 'Bytes on disk of its files';
COMMENT ON COLUMN instance_stats.pids IS 'Processes and threads';
