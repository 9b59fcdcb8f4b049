//! Judges Postgres, its clock, and Redis.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clawdeploy_shared::{config::RedisArgs, db::server::Server, telemetry::chain};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use super::Check;

/// Postgres 13, the oldest that is supported.
const POSTGRES: i32 = 130_000;

/// Leases and time limits go by the database's clock, so a difference breaks nothing; but times in logs, certificates and
/// codes of authenticator apps do not fit then.
const CLOCK_LIMIT: TimeDelta = TimeDelta::seconds(2);

/// Time limit for Redis.
const REDIS_LIMIT: Duration = Duration::from_secs(5);

/// `each` connections are opened by each of the live `workers` and by the API.
pub(super) fn postgres(server: &Server, each: usize, workers: usize) -> Check {
    let Server { version, version_number, connections, read_only, .. } = server;
    let needed = each.saturating_mul(workers + 1);
    let found =
        format!("Postgres {version} with {connections} connections; API and {workers} worker(s) open up to {needed}");
    if *read_only {
        let fix = "Set CLAWDEPLOY_DATABASE_URL to the primary server.";
        return Check::fail("postgres", format!("{found}; it refuses writes"), fix);
    }
    if *version_number < POSTGRES {
        return Check::warn("postgres", found, "Update it to Postgres 13 or newer.");
    }
    if usize::try_from(*connections).is_ok_and(|connections| connections < needed) {
        let fix =
            format!("Raise max_connections to {} or more, or lower CLAWDEPLOY_DATABASE_CONNECTIONS.", needed + 10);
        return Check::warn("postgres", found, fix);
    }
    Check::ok("postgres", found)
}

/// Compares the database's clock, read between two times of ours.
pub(super) fn clock(theirs: DateTime<Utc>, began: DateTime<Utc>, ended: DateTime<Utc>) -> Check {
    let difference = (began - theirs).max(theirs - ended).max(TimeDelta::zero());
    let found = format!("clocks of this machine and of Postgres differ by {} ms", difference.num_milliseconds());
    if difference <= CLOCK_LIMIT {
        return Check::ok("clock", found);
    }
    Check::warn("clock", found, "Synchronize both with a time server (timedatectl set-ntp true).")
}

pub(super) async fn redis(args: &RedisArgs) -> Check {
    let asked = async {
        let client = redis::Client::open(args.redis_url.expose_secret())?;
        let mut conn = client.get_multiplexed_async_connection().await?;
        redis::cmd("INFO").query_async::<String>(&mut conn).await
    };
    let down = |why: String| {
        let fix = "Start it, or correct CLAWDEPLOY_REDIS_URL. Until then jobs start up to a second later.";
        Check::warn("redis", format!("Redis cannot be asked: {why}"), fix)
    };
    match timeout(REDIS_LIMIT, asked).await {
        Ok(Ok(info)) => judge_redis(&info),
        Ok(Err(error)) => down(chain(&error)),
        Err(_) => down(format!("no answer within {} s", REDIS_LIMIT.as_secs())),
    }
}

fn judge_redis(info: &str) -> Check {
    let field = |name: &str| {
        let value = info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or("unknown").to_owned()
    };
    let (version, policy) = (field("redis_version"), field("maxmemory_policy"));
    let found = format!("Redis {version}, maxmemory-policy {policy}");
    if policy == "noeviction" || policy == "unknown" {
        return Check::ok("redis", found);
    }
    let fix = "Set maxmemory-policy to noeviction: otherwise Redis drops rings when its memory is full.";
    Check::warn("redis", found, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::CheckStatus;

    fn server(version_number: i32, connections: i32, read_only: bool) -> Server {
        Server { version_number, version: "15.14".to_owned(), connections, read_only, clock: Utc::now() }
    }

    #[test]
    fn postgres_needs_a_connection_for_everybody() {
        let status = |server: &Server, workers| postgres(server, 10, workers).status;
        assert_eq!(status(&server(150_014, 97, false), 8), CheckStatus::Ok);
        assert_eq!(status(&server(150_014, 97, false), 9), CheckStatus::Warn);
        assert_eq!(status(&server(120_022, 97, false), 1), CheckStatus::Warn);
        assert_eq!(status(&server(150_014, 97, true), 1), CheckStatus::Fail);
    }

    #[test]
    fn the_time_of_the_question_is_no_difference() {
        let now = Utc::now();
        let status = |theirs: i64, took: i64| {
            clock(now + TimeDelta::milliseconds(theirs), now, now + TimeDelta::milliseconds(took)).status
        };
        assert_eq!(status(4000, 5000), CheckStatus::Ok);
        assert_eq!(status(-1900, 10), CheckStatus::Ok);
        assert_eq!(status(-2100, 10), CheckStatus::Warn);
        assert_eq!(status(2500, 10), CheckStatus::Warn);
    }

    #[test]
    fn redis_must_not_evict() {
        let info =
            |policy: &str| format!("# Server\r\nredis_version:7.0.15\r\n# Memory\r\nmaxmemory_policy:{policy}\r\n");
        assert_eq!(judge_redis(&info("noeviction")), Check::ok("redis", "Redis 7.0.15, maxmemory-policy noeviction"));
        assert_eq!(judge_redis(&info("allkeys-lru")).status, CheckStatus::Warn);
    }
}
