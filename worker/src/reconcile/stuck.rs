//! Stuck instances: no job is open on them, and they are not in the state that their owner wants.
//!
//! An instance is stuck if for more than a minute no job has been open on it and
//! - its status is an intermediate one (pending, provisioning, starting, stopping, updating, deleting) and its
//!   container does not show another one, which would be drift; a container that boots by itself, as all do after a
//!   reboot of the host, gets as much time as a job would give it; or
//! - its owner wants it deleted.
//!
//! The job that leads to the wanted state is queued: provision if it never came up, start, stop or delete. A delete
//! that has begun is always completed. If that job cannot begin from the current status, the instance is first set to
//! `error`.
//!
//! At most one such job is made for an instance within five minutes. If it did not help, the instance is set to
//! `error`, `stuck`. A failed delete is retried after five minutes, unless it crashed its workers: that is left to an
//! administrator.
//!
//! An instance is also started if its gateway was left stopped for a delete that was then cancelled
//! (`steps/before_delete.rs`).

use std::{
    collections::{HashMap, HashSet},
    fmt,
    time::Duration,
};

use clawdeploy_shared::{
    db::{
        Conn, Scope,
        instance::{self, Fault, Instance},
        job::{self, Job, NewJob},
        stuck::{self, Lately},
        sweep::SweepReport,
    },
    ids::InstanceId,
    instance::{DesiredState, InstanceStatus},
    job::JobKind,
    telemetry::chain,
};
use diesel_async::AsyncConnection as _;
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use super::{SweepError, SweepResult, drift::Shown, listing::Listing};
use crate::{
    env::Env,
    jobs,
    observe::{self, ObserveError},
    runtime::{GatewayStatus, OwnedGateway},
    steps::boot,
};

/// How long no job must have been open.
const STUCK_AFTER: Duration = Duration::from_mins(1);

/// One repair is made within this time.
const REPAIR_WINDOW: Duration = Duration::from_mins(5);

/// Instances looked at in detail at once: a gateway that hangs takes two seconds.
const SIDE_BY_SIDE: usize = 64;

/// How long one pass looks at instances in detail, and how long it works in total. The rest waits for the next pass.
const LOOK_LIMIT: Duration = Duration::from_secs(5);
const BUDGET: Duration = Duration::from_secs(10);

/// Statuses with which a job should be open.
const BETWEEN: [InstanceStatus; 6] = [
    InstanceStatus::Pending,
    InstanceStatus::Provisioning,
    InstanceStatus::Starting,
    InstanceStatus::Stopping,
    InstanceStatus::Updating,
    InstanceStatus::Deleting,
];

/// What to do about a stuck instance.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Enqueue(JobKind),
    /// Set it to `error`: the repair did not help.
    GiveUp,
    /// Repair it later.
    Wait,
    /// Leave it to an administrator.
    Leave,
    /// Leave it to workers of a newer version, which wrote its status.
    Newer,
}

pub(super) async fn sweep(env: &Env, listing: &Listing) -> SweepResult {
    let began = Instant::now();
    let found = stuck::list(&mut *env.db.conn().await?, &BETWEEN, STUCK_AFTER).await?;
    let mut report = SweepReport::of(found.len());
    let overdue = overdue(env, &found).await?;
    let (mut stuck, mut unclear) = (Vec::new(), Vec::new());
    let listed = if found.iter().any(is_watched) { Some(listing.of_this_pass(&env.runtime).await) } else { None };
    let shown = listed.as_ref().and_then(|listed| listed.as_ref().ok()).map(|listed| shown(listed));
    for instance in found {
        match (glance(&instance, shown.as_ref()), &listed) {
            (Glance::NotListed, Some(Err(error))) => not_checked(&mut report, &instance, chain(error)),
            (Glance::Drift, _) => {}
            (Glance::Boots, _) if !overdue.contains(&instance.id) => boots(&mut report, &instance),
            (Glance::Boots | Glance::Unclear | Glance::NotListed, _) => unclear.push(instance),
            (Glance::Nothing, _) => stuck.push(instance),
        }
    }
    let looks: Vec<_> = unclear.into_iter().map(|instance| look(env, instance)).collect();
    let looks = stream::iter(looks).buffer_unordered(SIDE_BY_SIDE).take_until(tokio::time::sleep(LOOK_LIMIT));
    let looked: Vec<_> = looks.collect().await;
    for (instance, seen) in looked {
        match seen {
            Ok(Seen::Drift) => {}
            Ok(Seen::Boots) if !overdue.contains(&instance.id) => boots(&mut report, &instance),
            Ok(Seen::Boots | Seen::Nothing) => stuck.push(instance),
            Err(ObserveError::Runtime(error)) => not_checked(&mut report, &instance, chain(&error)),
            Err(error @ ObserveError::Db(_)) => return Err(error.into()),
        }
    }
    for instance in stuck {
        if began.elapsed() > BUDGET {
            // The others are found again by the next pass.
            break;
        }
        if let Some((verdict, job)) = settle(env, &instance).await? {
            if let Some(job) = job {
                env.doorbell.ring(job.queue, job.id);
            }
            tell(&mut report, &instance, &verdict);
        }
    }
    start_left_stopped(env, &mut report).await?;
    Ok(report)
}

async fn start_left_stopped(env: &Env, report: &mut SweepReport) -> Result<(), SweepError> {
    for left in stuck::left_stopped(&mut *env.db.conn().await?).await? {
        let mut conn = env.db.conn().await?;
        let start = conn
            .transaction::<_, SweepError, _>(async |conn| {
                if !is_unmoved(conn, &left).await? {
                    return Ok(None);
                }
                Ok(Some(job::insert(conn, &NewJob::on_instance(JobKind::Start, &left.id, left.owner_id)).await?))
            })
            .await?;
        if let Some(start) = start {
            env.doorbell.ring(start.queue, start.id);
            let message =
                "Its gateway was left stopped for its deletion, which was then cancelled. A start job was queued.";
            report.repaired("left_stopped", &left.id, message);
        }
    }
    Ok(())
}

/// Locks the row as a request would lock it. Whether it has not moved since it was read, and no job is open.
async fn is_unmoved(conn: &mut Conn, read: &Instance) -> Result<bool, SweepError> {
    let now = instance::find_for_update(conn, Scope::Everything, &read.id).await?;
    let same = now.is_some_and(|now| (now.status, now.updated_at) == (read.status, read.updated_at));
    Ok(same && job::open_on(conn, &read.id).await?.is_empty())
}

fn boots(report: &mut SweepReport, instance: &Instance) {
    report.watching("booting", &instance.id, "Its gateway is booting and does not answer yet.");
}

fn not_checked(report: &mut SweepReport, instance: &Instance, why: impl fmt::Display) {
    let message = format!("Its status is {}, and its container cannot be inspected: {why}.", instance.status);
    report.watching("not_checked", &instance.id, message);
}

fn tell(report: &mut SweepReport, instance: &Instance, verdict: &Verdict) {
    let Instance { id, status, desired_state, .. } = instance;
    match verdict {
        Verdict::Enqueue(kind) => {
            let message = format!(
                "Its status was {status}, but {desired_state} is wanted and no job was open. A {kind} job was queued."
            );
            report.repaired("stuck", id, message);
        }
        Verdict::GiveUp => {
            let message = format!("Its status was {status} again after a repair job. It was set to error.");
            report.reported("stuck", id, message);
        }
        Verdict::Wait => {
            let message = format!(
                "Its status is {status}, but {desired_state} is wanted. Another repair job will \
                                   be queued later."
            );
            report.watching("stuck", id, message);
        }
        Verdict::Leave => {
            let message = format!(
                "Its status is {status}, but {desired_state} is wanted. Its last job crashed workers. Find out why, \
                 then retry that job."
            );
            report.reported("worker_crashed", id, message);
        }
        Verdict::Newer => {
            let message = "A newer version of ClawDeploy changed it, and this version does not know its status. It \
                           is left alone.";
            report.watching("newer_version", id, message);
        }
    }
}

/// Whether the container may show another status than the row.
fn is_watched(instance: &Instance) -> bool {
    matches!(instance.status, InstanceStatus::Starting | InstanceStatus::Stopping)
        && instance.container_id.is_some()
        && instance.desired_state != DesiredState::Deleted
}

/// What the list of containers says about a stuck instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Glance {
    /// Its container shows another status that the instance may move to: left to the drift sweep.
    Drift,
    /// Its container runs, and the drift sweep asks its gateway.
    Boots,
    Nothing,
    /// It depends on whether its gateway answers.
    Unclear,
    /// There is no list.
    NotListed,
}

fn shown(containers: &[OwnedGateway]) -> HashMap<&str, Shown> {
    containers.iter().map(|found| (found.id.as_str(), Shown::of(found.status, found.exit_code))).collect()
}

fn glance(instance: &Instance, listed: Option<&HashMap<&str, Shown>>) -> Glance {
    let Some(container) = instance.container_id.as_deref().filter(|_| is_watched(instance)) else {
        return Glance::Nothing;
    };
    let Some(listed) = listed else { return Glance::NotListed };
    let shown = listed.get(container).copied().unwrap_or(Shown::Gone);
    glance_at(instance.status, instance.desired_state, shown)
}

/// For an instance that is `starting` or `stopping`.
fn glance_at(status: InstanceStatus, desired: DesiredState, shown: Shown) -> Glance {
    match (status, shown, desired) {
        (InstanceStatus::Starting, Shown::Running, DesiredState::Running) => Glance::Boots,
        (InstanceStatus::Starting, Shown::Running, _) => Glance::Unclear,
        // The engine starts it again and again.
        (InstanceStatus::Starting, Shown::Restarting, _) => Glance::Nothing,
        _ => Glance::Drift,
    }
}

/// What the container of an instance shows.
enum Seen {
    /// Another status that the instance may move to: left to the drift sweep.
    Drift,
    /// It runs, but its gateway does not answer yet.
    Boots,
    Nothing,
}

async fn look(env: &Env, instance: Instance) -> (Instance, Result<Seen, ObserveError>) {
    let seen = observe::observe(env, &instance.id).await.map(|seen| {
        if seen.status != instance.status && instance.status.may_become(seen.status) {
            return Seen::Drift;
        }
        let runs = seen.container.is_some_and(|container| container.status == GatewayStatus::Running);
        let wanted = (instance.status, instance.desired_state) == (InstanceStatus::Starting, DesiredState::Running);
        if runs && wanted { Seen::Boots } else { Seen::Nothing }
    });
    (instance, seen)
}

/// Those of these instances that have been starting for longer than allowed, given how many boot now.
async fn overdue(env: &Env, found: &[Instance]) -> Result<HashSet<InstanceId>, SweepError> {
    if !found.iter().any(|instance| instance.status == InstanceStatus::Starting) {
        return Ok(HashSet::new());
    }
    let patience = env.config.instances.ready_within.mul_f64(boot::slowdown(env).await?).max(STUCK_AFTER);
    let long = stuck::list(&mut *env.db.conn().await?, &[InstanceStatus::Starting], patience).await?;
    Ok(long.into_iter().map(|instance| instance.id).collect())
}

/// Decides and acts in one transaction with the row locked, as a request would lock it. `None`: it moved in the
/// meantime.
async fn settle(env: &Env, stuck: &Instance) -> Result<Option<(Verdict, Option<Job>)>, SweepError> {
    let mut conn = env.db.conn().await?;
    conn.transaction::<_, SweepError, _>(async |conn| {
        let id = &stuck.id;
        if !is_unmoved(conn, stuck).await? {
            return Ok(None);
        }
        let verdict = judge(stuck.status, stuck.desired_state, stuck::lately(conn, id, REPAIR_WINDOW).await?);
        let job = match verdict {
            Verdict::Enqueue(kind) => {
                if !can_begin(kind, stuck.status) {
                    let message = "The instance was in the middle of a change, but no job was open. It is being \
                                   repaired.";
                    let fault = Fault { code: "stuck", message };
                    instance::set_status(conn, id, InstanceStatus::Error, Some(fault)).await?;
                }
                Some(job::insert(conn, &NewJob::on_instance(kind, id, stuck.owner_id)).await?)
            }
            Verdict::GiveUp => {
                let message = format!(
                    "The instance stayed {} after a repair job. Start, stop or delete it. If that does not help, ask \
                     an administrator to look at its jobs.",
                    stuck.status
                );
                let fault = Fault { code: "stuck", message: &message };
                instance::set_status(conn, id, InstanceStatus::Error, Some(fault)).await?;
                None
            }
            Verdict::Wait | Verdict::Leave | Verdict::Newer => None,
        };
        Ok(Some((verdict, job)))
    })
    .await
}

fn judge(status: InstanceStatus, desired: DesiredState, lately: Lately) -> Verdict {
    let Some(way) = way(status, desired) else { return Verdict::Newer };
    // In error there is nothing to give up. Only a delete can be wanted.
    let in_error = status == InstanceStatus::Error;
    if in_error && lately.crashed {
        Verdict::Leave
    } else if in_error && (lately.ended || lately.repaired) {
        Verdict::Wait
    } else if lately.repaired || lately.crashed {
        Verdict::GiveUp
    } else {
        Verdict::Enqueue(way)
    }
}

/// The job that leads to the wanted state. `None`: only a newer version knows.
fn way(status: InstanceStatus, desired: DesiredState) -> Option<JobKind> {
    Some(match (status, desired) {
        (InstanceStatus::Unknown, _) | (_, DesiredState::Unknown) => return None,
        // A delete that has begun cannot be undone.
        (InstanceStatus::Deleting, _) | (_, DesiredState::Deleted) => JobKind::Delete,
        (_, DesiredState::Stopped) => JobKind::Stop,
        (InstanceStatus::Pending | InstanceStatus::Provisioning, DesiredState::Running) => JobKind::Provision,
        (_, DesiredState::Running) => JobKind::Start,
    })
}

/// Whether the status that the job sets first is a legal move.
fn can_begin(kind: JobKind, status: InstanceStatus) -> bool {
    jobs::usual_plan(kind).during.is_none_or(|during| status.may_become(during))
}

#[cfg(test)]
mod tests {
    use DesiredState::{Deleted, Running as WantRunning, Stopped as WantStopped};
    use InstanceStatus::{Deleting, Error, Pending, Provisioning, Running, Starting, Stopped, Stopping, Updating};

    use super::*;

    const NOTHING: Lately = Lately { repaired: false, ended: false, crashed: false };

    #[test]
    fn the_job_is_the_one_that_leads_to_what_is_wanted() {
        for (status, desired, kind) in [
            (Pending, WantRunning, JobKind::Provision),
            (Provisioning, WantRunning, JobKind::Provision),
            (Pending, WantStopped, JobKind::Stop),
            (Starting, WantRunning, JobKind::Start),
            (Starting, WantStopped, JobKind::Stop),
            (Stopping, WantStopped, JobKind::Stop),
            (Stopping, WantRunning, JobKind::Start),
            (Updating, WantRunning, JobKind::Start),
            (Deleting, WantRunning, JobKind::Delete),
            (Deleting, Deleted, JobKind::Delete),
            (Running, Deleted, JobKind::Delete),
            (Stopped, Deleted, JobKind::Delete),
            (Error, Deleted, JobKind::Delete),
        ] {
            assert_eq!(judge(status, desired, NOTHING), Verdict::Enqueue(kind), "{status} {desired}");
            assert!(
                can_begin(kind, status) || Error.may_become(jobs::usual_plan(kind).during.unwrap()),
                "{status} {kind}"
            );
        }
    }

    #[test]
    fn what_a_newer_version_has_written_is_left_alone() {
        assert_eq!(judge(InstanceStatus::Unknown, Deleted, NOTHING), Verdict::Newer);
        assert_eq!(judge(Starting, DesiredState::Unknown, NOTHING), Verdict::Newer);
    }

    #[test]
    fn the_list_decides_unless_it_depends_on_an_answer() {
        for (status, desired, shown, glance) in [
            (Starting, WantRunning, Shown::Running, Glance::Boots),
            (Starting, WantStopped, Shown::Running, Glance::Unclear),
            (Starting, WantRunning, Shown::Restarting, Glance::Nothing),
            (Starting, WantRunning, Shown::Gone, Glance::Drift),
            (Starting, WantRunning, Shown::Stopped, Glance::Drift),
            (Stopping, WantStopped, Shown::Running, Glance::Drift),
            (Stopping, WantStopped, Shown::Restarting, Glance::Drift),
            (Stopping, WantStopped, Shown::Failed, Glance::Drift),
        ] {
            assert_eq!(glance_at(status, desired, shown), glance, "{status} {desired} {shown:?}");
        }
    }

    #[test]
    fn one_repair_has_to_do() {
        let repaired = Lately { repaired: true, ended: true, ..NOTHING };
        assert_eq!(judge(Starting, WantRunning, repaired), Verdict::GiveUp);
        assert_eq!(judge(Stopped, Deleted, repaired), Verdict::GiveUp);
        assert_eq!(judge(Error, Deleted, repaired), Verdict::Wait);
    }

    #[test]
    fn a_deletion_that_failed_is_tried_again_later_but_not_if_it_kills_workers() {
        assert_eq!(judge(Error, Deleted, Lately { ended: true, ..NOTHING }), Verdict::Wait);
        assert_eq!(judge(Error, Deleted, NOTHING), Verdict::Enqueue(JobKind::Delete));
        assert_eq!(judge(Error, Deleted, Lately { crashed: true, ..NOTHING }), Verdict::Leave);
    }

    #[test]
    fn what_somebody_asked_for_a_moment_ago_does_not_stand_in_the_way() {
        assert_eq!(judge(Stopping, WantStopped, Lately { ended: true, ..NOTHING }), Verdict::Enqueue(JobKind::Stop));
    }
}
