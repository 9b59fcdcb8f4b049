//! Metrics in Prometheus's format, on a separate address: they cover all tenants and are not public.
//!
//! All names are defined here, with the unit as suffix. `docs/operations.md` explains them and
//! `deploy/prometheus/alerts.yml` watches them.

use std::net::SocketAddr;

use clap::Args;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};

/// Open jobs, by queue, kind and state (`due`, `delayed`, `running`).
pub const QUEUE_JOBS: &str = "clawdeploy_queue_jobs";
/// Age of the oldest due job, by queue.
pub const QUEUE_OLDEST_SECONDS: &str = "clawdeploy_queue_oldest_seconds";
/// Time from when a job was due to its claim, by kind.
pub const JOB_WAIT_SECONDS: &str = "clawdeploy_job_wait_seconds";
/// Duration of one attempt at a job, by kind and outcome.
pub const JOB_RUN_SECONDS: &str = "clawdeploy_job_run_seconds";
/// Retried attempts, by kind and error code.
pub const JOB_RETRIES: &str = "clawdeploy_job_retries_total";
/// Jobs taken back from a vanished worker.
pub const LEASES_REAPED: &str = "clawdeploy_leases_reaped_total";
/// Jobs whose lease this worker lost while it ran them.
pub const LEASES_LOST: &str = "clawdeploy_leases_lost_total";
/// Findings of the reconciler, by sweep, code and action.
pub const RECONCILER_FINDINGS: &str = "clawdeploy_reconciler_findings_total";
/// Rows that were older than they need to be kept and were deleted, by table.
pub const RETENTION_REMOVED: &str = "clawdeploy_retention_removed_total";
/// 1 while this worker stands by because its database, data directory and engine do not belong together, else 0.
pub const WORKER_STANDBY: &str = "clawdeploy_worker_standby";
/// The instances' firewall, by state (`ok`, `open`, `off`, `unknown`): 1 for the one that it is in.
pub const FIREWALL: &str = "clawdeploy_firewall";
/// What the memory limits of running instances may add up to; 0 if that is not known or not limited.
pub const HOST_MEMORY_LIMIT: &str = "clawdeploy_host_memory_limit_bytes";
/// What the memory limits of running instances add up to.
pub const HOST_MEMORY_PROMISED: &str = "clawdeploy_host_memory_promised_bytes";
/// Duration of one call to the Docker engine, by operation and result.
pub const DOCKER_CALL_SECONDS: &str = "clawdeploy_docker_call_seconds";

/// Time from a request to the head of its response, by method, path (the route's, never the URL) and status.
pub const HTTP_REQUEST_SECONDS: &str = "clawdeploy_http_request_seconds";
/// Open event streams of this API.
pub const EVENT_STREAMS: &str = "clawdeploy_event_streams";
/// Requests to instances that wait until their gateway answers.
pub const HELD_REQUESTS: &str = "clawdeploy_held_requests";
/// Duration of one poll for all that wait, by what it asks for (`jobs`, `builds`, `accesses`, `arrivals`).
pub const FOLLOW_POLL_SECONDS: &str = "clawdeploy_follow_poll_seconds";
/// Refused sign-ins, by reason.
pub const LOGIN_FAILURES: &str = "clawdeploy_login_failures_total";

/// From a millisecond to the ten minutes of a slow build, in seconds.
const SECONDS: [f64; 14] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0];

#[derive(Debug, Clone, Args)]
pub struct MetricsArgs {
    /// Private address of the Prometheus endpoint, such as 127.0.0.1:9400; unset: no metrics
    #[arg(long, env = "CLAWDEPLOY_METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,
}

/// Collects metrics and serves them if an address is set. Call it once, within the runtime.
pub fn serve(args: &MetricsArgs) -> Result<(), BuildError> {
    let Some(address) = args.metrics_listen else { return Ok(()) };
    PrometheusBuilder::new()
        .with_http_listener(address)
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .install()?;
    describe_gauge!(QUEUE_JOBS, Unit::Count, "Jobs by queue, kind and state (due, delayed, running)");
    describe_gauge!(QUEUE_OLDEST_SECONDS, Unit::Seconds, "Age of the oldest job that is due");
    describe_histogram!(JOB_WAIT_SECONDS, Unit::Seconds, "Time from when a job was due to its claim");
    describe_histogram!(JOB_RUN_SECONDS, Unit::Seconds, "Duration of one attempt at a job");
    describe_counter!(JOB_RETRIES, Unit::Count, "Retried attempts");
    describe_counter!(LEASES_REAPED, Unit::Count, "Jobs taken back from a vanished worker");
    describe_counter!(LEASES_LOST, Unit::Count, "Jobs whose lease was lost while a worker ran them");
    describe_counter!(RECONCILER_FINDINGS, Unit::Count, "Findings of the reconciler");
    describe_counter!(RETENTION_REMOVED, Unit::Count, "Rows deleted because they were old enough, by table");
    describe_gauge!(WORKER_STANDBY, Unit::Count, "1 while this worker stands by, else 0");
    describe_gauge!(FIREWALL, "State of the instances' firewall: 1 for the current one");
    describe_gauge!(
        HOST_MEMORY_LIMIT,
        Unit::Bytes,
        "What the memory limits of running instances may add up to; 0: not known"
    );
    describe_gauge!(HOST_MEMORY_PROMISED, Unit::Bytes, "What the memory limits of running instances add up to");
    describe_histogram!(DOCKER_CALL_SECONDS, Unit::Seconds, "Duration of one call to the Docker engine");
    describe_histogram!(HTTP_REQUEST_SECONDS, Unit::Seconds, "Time from a request to the head of its response");
    describe_gauge!(EVENT_STREAMS, Unit::Count, "Open event streams");
    describe_gauge!(HELD_REQUESTS, Unit::Count, "Requests that wait until their instance runs");
    describe_histogram!(FOLLOW_POLL_SECONDS, Unit::Seconds, "Duration of one poll for all that wait");
    describe_counter!(LOGIN_FAILURES, Unit::Count, "Refused sign-ins");
    tracing::info!(%address, "Serving metrics");
    Ok(())
}
