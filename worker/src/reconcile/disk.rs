//! Measures instances' files and stops gateways that exceed the disk limit.
//!
//! Each instance with files is looked at once per `CLAWDEPLOY_DISK_SECONDS`, the longest waiting first, as many per pass
//! as its time allows. Its files are walked less often while they do not change (see [`crate::disk_meter`]). With
//! `CLAWDEPLOY_DISK_LIMIT_MIB`, an owner is warned once (in the audit log) at four fifths of the limit, and again only
//! after usage was below seven tenths.
//!
//! A gateway at the limit is stopped and its instance set to `error`, `disk_limit_reached`, until somebody starts it.
//! The owner then has ten minutes to free space; above twice the limit it is stopped at once. A million files count as
//! the limit. If files change during a measurement, what was seen of them counts.
//!
//! A look also rewrites an instance's manifest if its row has changed. So each instance has a current one within a
//! minute.
//!
//! Measurements are late by as much, and by up to eight times as much after a quiet time. Only a file system quota, which this is not, would be exact.

use std::time::{Duration, Instant};

use clawdeploy_shared::{
    db::{
        audit::{self, NewAuditEntry},
        disk::{self, Due, Measured},
        instance::{Fault, Instance},
        recoverable,
        sweep::SweepReport,
    },
    ids::InstanceId,
    instance::InstanceStatus,
    telemetry::chain,
};
use diesel_async::AsyncConnection as _;
use serde_json::json;

use super::{SweepError, SweepResult, busy, crash_loop, manifests};
use crate::{
    disk_meter::Pace,
    env::Env,
    runtime::Reference,
    storage::{DiskUse, MOST_ENTRIES, Seen},
};

/// Code of the error.
const CODE: &str = "disk_limit_reached";

/// Most instances that one pass looks at: at 10 000 each has its turn once a minute.
const AT_ONCE: i64 = 2000;

/// Time budget of one pass. A walk that has begun by then may take ten more seconds, which is less than a sweep's limit
/// together.
const BUDGET: Duration = Duration::from_secs(8);

/// How long an owner may run an instance at its limit to free space.
const GRACE: Duration = Duration::from_mins(10);

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

/// What one pass found out and has yet to store.
#[derive(Debug, Default)]
struct Noted {
    measured: Vec<(InstanceId, Measured)>,
    passed_over: Vec<InstanceId>,
}

pub(super) async fn sweep(env: &Env) -> SweepResult {
    let every = env.config.instances.disk_interval;
    let mut conn = env.db.conn().await?;
    let due = disk::due(&mut conn, every, AT_ONCE).await?;
    let emails = recoverable::owner_emails(&mut conn, due.iter().map(|due| &due.instance)).await?;
    drop(conn);
    let (mut report, mut noted) = (SweepReport::default(), Noted::default());
    let began = Instant::now();
    let mut failed = None;
    for due in due {
        if began.elapsed() > BUDGET {
            break;
        }
        report.checked += 1;
        let email = due.instance.owner_id.and_then(|owner| emails.get(&owner).cloned());
        match check(env, &due, email, &mut noted, &mut report).await {
            Ok(()) => {}
            Err(error) if error.is_hopeless() => {
                failed = Some(error);
                break;
            }
            Err(error) => {
                let id = due.instance.id;
                report.reported("not_measured", &id, format!("It could not be measured: {}.", chain(&error)));
                noted.passed_over.push(id);
            }
        }
    }
    let mut conn = env.db.conn().await?;
    disk::keep_all(&mut conn, &noted.measured).await?;
    disk::pass_over(&mut conn, &noted.passed_over).await?;
    failed.map_or(Ok(report), Err)
}

async fn check(
    env: &Env,
    due: &Due,
    email: Option<String>,
    noted: &mut Noted,
    report: &mut SweepReport,
) -> Result<(), SweepError> {
    let instance = &due.instance;
    manifests::keep_current(env, instance, email).await?;
    let limit = env.config.instances.disk_limit_bytes();
    let judge = |used: DiskUse| verdict(bytes_of(used), used.seen, limit, instance.disk_warned);
    let mut measured = measure(env, instance, Pace::Regular).await?;
    if measured.is_ok_and(|used| judge(used) != Verdict::Fine) {
        // Its owner may be freeing space.
        measured = measure(env, instance, Pace::Live).await?;
    }
    let used = match measured {
        Ok(used) => used,
        Err(why) => {
            if why == Unmeasured::FailedBefore {
                report.watching("not_measured", &instance.id, "It could not be measured a moment ago.");
            }
            noted.passed_over.push(instance.id.clone());
            return Ok(());
        }
    };
    let verdict = judge(used);
    let bytes = bytes_of(used);
    let measured = Measured { bytes, whole: used.seen == Seen::All, limit, warned: verdict != Verdict::Fine };
    if measured.warned && !instance.disk_warned {
        warn(env, instance, measured).await?;
    } else {
        noted.measured.push((instance.id.clone(), measured));
    }
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
            if stop(env, due, used, limit, verdict == Verdict::Beyond).await? {
                report.repaired(CODE, &instance.id, format!("{} Its gateway was stopped.", words(used, limit)));
            } else {
                report.watching(CODE, &instance.id, words(used, limit));
            }
        }
    }
    Ok(())
}

fn bytes_of(used: DiskUse) -> i64 {
    i64::try_from(used.bytes).unwrap_or(i64::MAX)
}

/// Why an instance has no size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unmeasured {
    /// It has no files: its job creates the directories first or has just removed them.
    NoFiles,
    /// It failed a moment ago, and it is not time for another attempt.
    FailedBefore,
}

async fn measure(env: &Env, instance: &Instance, pace: Pace) -> Result<Result<DiskUse, Unmeasured>, SweepError> {
    match env.disk.measure(&instance.id, env.config.instances.disk_interval, pace).await {
        Ok(used) => Ok(used.ok_or(Unmeasured::FailedBefore)),
        Err(error) if error.is_not_found() => Ok(Err(Unmeasured::NoFiles)),
        Err(error) => Err(error.into()),
    }
}

/// Stores a measurement and warns the owner that little space is left.
async fn warn(env: &Env, instance: &Instance, measured: Measured) -> Result<(), SweepError> {
    let mut conn = env.db.conn().await?;
    conn.transaction::<_, SweepError, _>(async |conn| {
        disk::keep(conn, &instance.id, measured).await?;
        let entry = NewAuditEntry {
            actor_id: None,
            actor: "clawdeploy-worker",
            action: "instance.disk_warning",
            target_kind: "instance",
            target_id: instance.id.as_str(),
            owner_id: instance.owner_id,
            detail: json!({ "diskBytes": measured.bytes, "diskLimitBytes": measured.limit }),
            request_id: None,
            client_ip: None,
            outcome: audit::Outcome::Success,
        };
        audit::insert(conn, &entry).await?;
        Ok(())
    })
    .await
}

/// Stops the gateway of an instance without an open job and records that in the row. False: nothing to stop, or not
/// yet.
async fn stop(env: &Env, due: &Due, used: DiskUse, limit: Option<i64>, at_once: bool) -> Result<bool, SweepError> {
    let instance = &due.instance;
    let Some(container) = Reference::of(instance) else { return Ok(false) };
    let runs = matches!(instance.status, InstanceStatus::Running | InstanceStatus::Starting);
    let in_time = due.status_for < GRACE && !at_once;
    if !runs || in_time || !busy(env, [&instance.id]).await?.is_empty() {
        return Ok(false);
    }
    env.runtime.stop(&container, STOP_GRACE).await?;
    let message = format!(
        "{} The gateway was stopped. Start it and free some space within {} minutes, or ask an administrator for a \
         higher limit.",
        words(used, limit),
        GRACE.as_secs() / 60
    );
    crash_loop::say(env, instance, Fault { code: CODE, message: &message }).await
}

fn words(used: DiskUse, limit: Option<i64>) -> String {
    if used.seen == Seen::TooMany {
        return format!("It has more than {MOST_ENTRIES} files.");
    }
    let mib = bytes_of(used) / MIB;
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
