//! Measures instances' files and stops gateways that exceed the disk limit.
//!
//! Each instance with files is measured once per `CLAWDEPLOY_DISK_SECONDS`, as many per pass as its time allows. With
//! `CLAWDEPLOY_DISK_LIMIT_MIB`, an owner is warned once (in the audit log) at four fifths of the limit, and again only
//! after usage was below seven tenths.
//!
//! A gateway at the limit is stopped and its instance set to `error`, `disk_limit_reached`, until somebody starts it.
//! The owner then has ten minutes to free space; above twice the limit it is stopped at once. A million files count as
//! the limit. If files change during a measurement, what was seen of them counts.
//!
//! Measuring an instance also rewrites its manifest if its row has changed. So each instance has a current one within a
//! minute.
//!
//! Measurements are late by as much. Only a file system quota, which this is not, would be exact.

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use clawdeploy_shared::{
    db::{
        audit::{self, NewAuditEntry},
        disk::{self, Measured},
        instance::{Fault, Instance},
        sweep::SweepReport,
    },
    instance::InstanceStatus,
    telemetry::chain,
};
use diesel_async::AsyncConnection as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{SweepError, SweepResult, busy, crash_loop, manifests};
use crate::{
    env::Env,
    files::Files,
    runtime::Reference,
    storage::{DiskUse, MOST_ENTRIES, Seen},
};

/// Code of the error.
const CODE: &str = "disk_limit_reached";

/// Most instances that one pass measures.
const AT_ONCE: i64 = 100;

/// Time budget of one pass, less than a sweep's limit. An instance that takes longer alone counts with what was seen.
const BUDGET: Duration = Duration::from_secs(10);

/// How long an owner may run an instance at its limit to free space.
const GRACE: TimeDelta = TimeDelta::minutes(10);

/// How long a gateway gets to stop.
const STOP_GRACE: Duration = Duration::from_secs(10);

const MIB: i64 = 1 << 20;

/// What follows from a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// Little space is left.
    Little,
    /// At the limit, possibly within the time to free space.
    Full,
    /// Far beyond the limit.
    Beyond,
}

fn verdict(bytes: i64, seen: Seen, limit: Option<i64>, warned: bool) -> Verdict {
    let Some(limit) = limit else { return Verdict::Fine };
    let tenths = |n: i64| limit / 10 * n;
    if bytes >= limit.saturating_mul(2) {
        Verdict::Beyond
    } else if bytes >= limit || seen == Seen::TooMany {
        Verdict::Full
    } else if bytes >= tenths(8) || (warned && bytes >= tenths(7)) {
        Verdict::Little
    } else {
        Verdict::Fine
    }
}

pub(super) async fn sweep(env: &Env) -> SweepResult {
    let every = env.config.instances.disk_interval;
    let due = disk::due(&mut *env.db.conn().await?, every, AT_ONCE).await?;
    let mut report = SweepReport::default();
    let began = Instant::now();
    for instance in due {
        let Some(left) = BUDGET.checked_sub(began.elapsed()) else { break };
        report.checked += 1;
        match check(env, &instance, left, &mut report).await {
            Ok(()) => {}
            Err(error) if error.is_hopeless() => return Err(error),
            Err(error) => {
                disk::pass_over(&mut *env.db.conn().await?, &instance.id).await?;
                report.reported("not_measured", &instance.id, format!("It could not be measured: {}.", chain(&error)));
            }
        }
    }
    Ok(report)
}

async fn check(env: &Env, instance: &Instance, left: Duration, report: &mut SweepReport) -> Result<(), SweepError> {
    let time_is_up = CancellationToken::new();
    let guard = time_is_up.clone();
    let timer = tokio::spawn(async move {
        tokio::time::sleep(left).await;
        guard.cancel();
    });
    manifests::keep_current(env, &instance.id).await?;
    let Files::Local(storage) = &env.files;
    let measured = storage.disk_use(&instance.id, MOST_ENTRIES, &time_is_up).await;
    timer.abort();
    let used = match measured {
        Ok(used) => used,
        // Its job creates the directories first or has just removed them.
        Err(error) if error.is_not_found() => {
            return Ok(disk::pass_over(&mut *env.db.conn().await?, &instance.id).await?);
        }
        Err(error) => return Err(error.into()),
    };
    let bytes = i64::try_from(used.bytes).unwrap_or(i64::MAX);
    let limit = env.config.instances.disk_limit_bytes();
    let verdict = verdict(bytes, used.seen, limit, instance.disk_warned);
    let measured = Measured { bytes, limit, warned: verdict != Verdict::Fine };
    note(env, instance, measured).await?;
    if used.seen == Seen::Part {
        report.watching(
            "measured_in_part",
            &instance.id,
            "Its files changed during the measurement, or there are too many of them.",
        );
    }
    match verdict {
        Verdict::Fine => {}
        Verdict::Little => report.watching("disk_nearly_full", &instance.id, words(used, limit)),
        Verdict::Full | Verdict::Beyond => {
            if stop(env, instance, used, limit, verdict == Verdict::Beyond).await? {
                report.repaired(CODE, &instance.id, format!("{} Its gateway was stopped.", words(used, limit)));
            } else {
                report.watching(CODE, &instance.id, words(used, limit));
            }
        }
    }
    Ok(())
}

/// Stores the measurement and warns the owner once when little space is left.
async fn note(env: &Env, instance: &Instance, measured: Measured) -> Result<(), SweepError> {
    let mut conn = env.db.conn().await?;
    conn.transaction::<_, SweepError, _>(async |conn| {
        disk::keep(conn, &instance.id, measured).await?;
        if measured.warned && !instance.disk_warned {
            let entry = NewAuditEntry {
                actor_id: None,
                actor: "clawdeploy-worker",
                action: "instance.disk_warning",
                target_kind: "instance",
                target_id: instance.id.as_str(),
                owner_id: Some(instance.owner_id),
                detail: json!({ "diskBytes": measured.bytes, "diskLimitBytes": measured.limit }),
                request_id: None,
                client_ip: None,
                outcome: audit::Outcome::Success,
            };
            audit::insert(conn, &entry).await?;
        }
        Ok(())
    })
    .await
}

/// Stops the gateway of an instance without an open job and records that in the row. False: nothing to stop, or not
/// yet.
async fn stop(
    env: &Env,
    instance: &Instance,
    used: DiskUse,
    limit: Option<i64>,
    at_once: bool,
) -> Result<bool, SweepError> {
    let Some(container) = Reference::of(instance) else { return Ok(false) };
    let runs = matches!(instance.status, InstanceStatus::Running | InstanceStatus::Starting);
    let in_time = Utc::now() < instance.status_changed_at + GRACE && !at_once;
    if !runs || in_time || !busy(env, [&instance.id]).await?.is_empty() {
        return Ok(false);
    }
    env.runtime.stop(&container, STOP_GRACE).await?;
    let message = format!(
        "{} The gateway was stopped. Start it and free some space within {} minutes, or ask an administrator for a \
         higher limit.",
        words(used, limit),
        GRACE.num_minutes()
    );
    crash_loop::say(env, instance, Fault { code: CODE, message: &message }).await
}

fn words(used: DiskUse, limit: Option<i64>) -> String {
    if used.seen == Seen::TooMany {
        return format!("It has more than {MOST_ENTRIES} files.");
    }
    let mib = i64::try_from(used.bytes).unwrap_or(i64::MAX) / MIB;
    format!("Its files take {mib} MiB of the {} MiB allowed.", limit.unwrap_or_default() / MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warned_at_four_fifths_and_stopped_at_the_limit() {
        let table = [
            (0, false, Verdict::Fine),
            (799, false, Verdict::Fine),
            (800, false, Verdict::Little),
            (750, true, Verdict::Little),
            (699, true, Verdict::Fine),
            (1000, true, Verdict::Full),
            (1999, true, Verdict::Full),
            (2000, true, Verdict::Beyond),
        ];
        for (bytes, warned, want) in table {
            assert_eq!(verdict(bytes, Seen::All, Some(1000), warned), want, "{bytes} {warned}");
            assert_eq!(verdict(bytes, Seen::All, None, warned), Verdict::Fine, "without a limit");
        }
        assert_eq!(verdict(1, Seen::TooMany, Some(1000), false), Verdict::Full);
        assert_eq!(verdict(i64::MAX - 1, Seen::Part, Some(i64::MAX), false), Verdict::Little, "no overflow");
    }
}
