//! Updates every instance in waves: one, then a tenth, then the rest, and last those that already have problems.
//!
//! A failure counts against the image only if the gateway ran before and comes up again with the old image. If the old
//! one does not come up either, the instance itself is at fault, and that says nothing about the others: tenants own
//! their configuration and must not be able to block a rollout. For the same reason, stopping takes failures of
//! instances of two owners, if there are two; see `judge`. Until one gateway has come up with the new image, instances
//! are tried one at a time.
//!
//! Each instance is updated by a job of its own, which rolls back by itself. The rollout only queues and watches these
//! jobs. Its state is in the table `rollout_members`, so another worker can continue it.

use std::time::Duration;

use clawdeploy_shared::{
    db::{
        Scope, instance,
        job::{self, Job, NewJob},
        rollout::{self, Member, MemberFault, MemberStatus, Tally},
        snapshot,
    },
    ids::{InstanceId, JobId},
    instance::{DesiredState, InstanceStatus},
    job::{JobKind, JobStatus},
};
use serde::Deserialize;
use serde_json::json;

use super::container;
use crate::job::{context::JobContext, error::StepError};

/// Instances updated at once: boots are bound by CPU.
const SIDE_BY_SIDE: usize = 4;

/// This many failures of the image stop the rollout, if they are also more than a tenth of the instances that tried it.
const IMAGE_FAILURES: i64 = 2;

/// This many failures of the platform stop the rollout, if they are also more than half of all: probably Docker or the
/// disk has a problem.
const PLATFORM_FAILURES: i64 = 3;

/// Delay between two checks of a wave's jobs.
const LOOK: Duration = Duration::from_secs(1);

/// Arguments of the job.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Payload {
    /// Instances to leave out.
    exclude: Vec<InstanceId>,
}

/// Why the rollout stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Image,
    Platform,
}

/// Whether the rollout must stop.
fn judge(tally: &Tally) -> Option<Stop> {
    let Tally { proved, failed_by_image, failed_by_platform, owners, .. } = *tally;
    let of_several = |failing: i64| owners < 2 || failing >= 2;
    let tried = proved + failed_by_image;
    if failed_by_image >= IMAGE_FAILURES && failed_by_image * 10 > tried && of_several(tally.owners_failed_by_image) {
        Some(Stop::Image)
    } else if failed_by_platform >= PLATFORM_FAILURES
        && failed_by_platform > tried
        && of_several(tally.owners_failed_by_platform)
    {
        Some(Stop::Platform)
    } else {
        None
    }
}

pub(super) async fn update_all(cx: &JobContext) -> Result<(), StepError> {
    let payload: Payload = serde_json::from_value(cx.job.payload.clone()).map_err(|error| {
        StepError::permanent("invalid_payload", format!("The job's payload cannot be read: {error}."))
    })?;
    let reference = &cx.env.config.image.image;
    let image = cx.env.runtime.image_id(reference).await?.ok_or_else(|| container::image_missing(reference))?;
    {
        cx.fenced(async |conn| Ok(rollout::plan(conn, cx.job.id, &image, &payload.exclude).await?)).await?;
    }
    let mut told = None;
    loop {
        cx.check()?;
        let members = look(cx).await?;
        let tally = rollout::tally(&mut *cx.env.db.conn().await?, cx.job.id).await?;
        let count = |status| members.iter().filter(|m| m.status == status).count();
        let (failed, updating) = (count(MemberStatus::Failed), count(MemberStatus::Updating));
        let ended = members.len() - count(MemberStatus::Waiting) - updating;
        if told != Some(ended) {
            told = Some(ended);
            let percent = i16::try_from(ended * 99 / members.len().max(1)).unwrap_or(99);
            cx.log_progress(&format!("{ended} of {} done, {failed} failed", members.len()), percent).await?;
        }
        if ended == members.len() {
            return if failed == 0 { Ok(()) } else { Err(failure(&members, None, tally.stuck)) };
        }
        let stop = judge(&tally);
        if stop.is_some() && updating == 0 {
            return Err(failure(&members, stop, tally.stuck));
        }
        if stop.is_none() {
            // The current wave: the first with open members.
            let open = |m: &&Member| matches!(m.status, MemberStatus::Waiting | MemberStatus::Updating);
            let wave = members.iter().filter(open).map(|m| m.wave).min();
            let next = members.iter().filter(|m| Some(m.wave) == wave && m.status == MemberStatus::Waiting);
            let side_by_side = if tally.proved == 0 { 1 } else { SIDE_BY_SIDE };
            for member in next.take(side_by_side.saturating_sub(updating)) {
                begin(cx, &member.instance_id).await?;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = cx.told_to_stop() => {}
        }
    }
}

/// `stop`: why the rollout stopped early, if it did. `stuck`: how many instances could not be rolled back.
fn failure(members: &[Member], stop: Option<Stop>, stuck: i64) -> StepError {
    let failed: Vec<_> = members.iter().filter(|m| m.status == MemberStatus::Failed).collect();
    let by = |fault| failed.iter().filter(|m| m.fault == Some(fault)).count();
    let waiting = members.iter().filter(|m| m.status == MemberStatus::Waiting).count();
    let names: Vec<_> = failed.iter().map(|m| m.instance_id.as_str()).take(10).collect();
    // The message begins with what stopped the rollout.
    let blamed = match stop {
        Some(Stop::Platform) => MemberFault::Platform,
        _ => MemberFault::Image,
    };
    let telling = failed.iter().find(|m| m.fault == Some(blamed)).or(failed.first());
    let reason = telling.and_then(|m| m.error_message.as_deref()).unwrap_or("no reason was given");
    let (code, end) = match stop {
        Some(Stop::Image) => ("rollout_failed", format!("The image seems to be broken; {waiting} were not touched.")),
        Some(Stop::Platform) => {
            ("rollout_failed", format!("Something is wrong with the server; {waiting} were not touched."))
        }
        None => ("rollout_incomplete", "All other instances were tried.".to_owned()),
    };
    let back = match stuck {
        0 => "They were rolled back.".to_owned(),
        stuck => {
            format!("{stuck} of these could not be rolled back either; an administrator must retry their jobs.")
        }
    };
    let message = format!(
        "{} could not be updated ({}): {} because of the image, {} because of the instance itself, {} because of the server. \
         {back} {end} One of them: {reason}",
        failed.len(),
        names.join(", "),
        by(MemberFault::Image),
        by(MemberFault::Instance),
        by(MemberFault::Platform),
    );
    StepError::permanent(code, message)
}

/// How the update of a member ended.
struct Ended {
    status: MemberStatus,
    fault: Option<MemberFault>,
    message: Option<String>,
}

/// The members now. Records the result of those whose job has ended.
async fn look(cx: &JobContext) -> Result<Vec<Member>, StepError> {
    let mut members = rollout::members(&mut *cx.env.db.conn().await?, cx.job.id).await?;
    for member in members.iter_mut().filter(|m| m.status == MemberStatus::Updating) {
        let mut conn = cx.env.db.conn().await?;
        let job = match member.update_job_id {
            Some(id) => job::find(&mut conn, Scope::Everything, id).await?,
            None => None,
        };
        let came_back = match &job {
            Some(job) if job.status == JobStatus::Failed => snapshot::came_back(&mut conn, job.id).await?,
            _ => None,
        };
        drop(conn);
        let Some(Ended { status, fault, message }) = ended(job, member.ran, came_back) else { continue };
        cx.fenced(async |conn| {
            Ok(rollout::end(conn, cx.job.id, &member.instance_id, status, message.as_deref(), fault).await?)
        })
        .await?;
        if let Some(fault) = fault {
            let why = message.as_deref().and_then(|message| message.lines().next()).unwrap_or_default();
            cx.log(&format!("{}: {} {why}", member.instance_id, explained(fault))).await?;
        }
        (member.status, member.fault, member.error_message) = (status, fault, message);
    }
    Ok(members)
}

fn explained(fault: MemberFault) -> &'static str {
    match fault {
        MemberFault::Image => "failed because of the image: it came up again with the old one.",
        MemberFault::Instance => {
            "failed because of the instance itself: it does not come up with the old image \
                                  either."
        }
        MemberFault::Platform => "failed because of the server, not the image.",
    }
}

/// The result of an update, if it has ended.
fn ended(job: Option<Job>, ran: bool, came_back: Option<bool>) -> Option<Ended> {
    let end = |status, message: Option<&str>| Some(Ended { status, fault: None, message: message.map(str::to_owned) });
    let Some(job) = job else { return end(MemberStatus::Skipped, Some("Its job was deleted.")) };
    match job.status {
        JobStatus::Queued | JobStatus::Running | JobStatus::Unknown => None,
        JobStatus::Succeeded => end(MemberStatus::Updated, None),
        JobStatus::Failed => {
            let fault = Some(fault(job.error_code.as_deref().unwrap_or_default(), ran, came_back));
            Some(Ended { status: MemberStatus::Failed, fault, message: job.error_message })
        }
        JobStatus::Cancelled => end(MemberStatus::Skipped, Some("Its update was cancelled.")),
    }
}

/// What caused a failed update. `code` is its error code, `ran` whether the gateway answered before it, `came_back`
/// whether it did so again after the undo.
fn fault(code: &str, ran: bool, came_back: Option<bool>) -> MemberFault {
    match (code, came_back) {
        ("gateway_exited" | "gateway_not_ready", Some(true)) if ran => MemberFault::Image,
        ("gateway_exited" | "gateway_not_ready", Some(_)) => MemberFault::Instance,
        // Its owner left its files in a state that cannot be edited.
        _ if code.starts_with("config_") => MemberFault::Instance,
        _ => MemberFault::Platform,
    }
}

/// Queues the update of one member.
async fn begin(cx: &JobContext, id: &InstanceId) -> Result<(), StepError> {
    let made: Option<JobId> = cx
        .fenced(async |conn| {
            let found = instance::find_for_update(conn, Scope::Everything, id).await?;
            let Some(instance) = found.filter(|i| i.desired_state != DesiredState::Deleted) else {
                let gone = Some("It was deleted in the meantime.");
                rollout::end(conn, cx.job.id, id, MemberStatus::Skipped, gone, None).await?;
                return Ok(None);
            };
            if let Some(stuck) = snapshot::stuck_on(conn, id).await? {
                let why = format!(
                    "An earlier change of it could not be undone. It stays as it is until an administrator retries \
                     that job ({}).",
                    stuck.job_id
                );
                rollout::end(conn, cx.job.id, id, MemberStatus::Skipped, Some(&why), None).await?;
                return Ok(None);
            }
            if instance.status == InstanceStatus::Error {
                let why = instance.error_message.as_deref().unwrap_or("no reason was given");
                let broken = format!("It was in error before the update and still is: {why}");
                rollout::end(conn, cx.job.id, id, MemberStatus::Skipped, Some(&broken), None).await?;
                return Ok(None);
            }
            let new = NewJob {
                requested_by: cx.job.requested_by,
                request_id: cx.job.request_id.as_deref(),
                payload: json!({ "rollout": cx.job.id }),
                ..NewJob::on_instance(JobKind::Update, id, instance.owner_id)
            };
            let job = job::insert(conn, &new).await?;
            let ran = instance.status == InstanceStatus::Running;
            rollout::begin(conn, cx.job.id, id, job.id, ran).await?;
            Ok(Some(job.id))
        })
        .await?;
    if let Some(job) = made {
        cx.env.doorbell.ring(JobKind::Update.queue(), job);
    }
    Ok(())
}

/// Undo of the rollout: leaves waiting members as they are, and cancels and awaits running updates.
pub(super) async fn leave_rest(cx: &JobContext) -> Result<(), StepError> {
    let why = "The rollout ended before its turn.";
    cx.fenced(async |conn| Ok(rollout::skip_waiting(conn, cx.job.id, why).await?)).await?;
    loop {
        let members = look(cx).await?;
        let updating: Vec<JobId> =
            members.iter().filter(|m| m.status == MemberStatus::Updating).filter_map(|m| m.update_job_id).collect();
        if updating.is_empty() {
            return Ok(());
        }
        for id in updating {
            let open = job::find(&mut *cx.env.db.conn().await?, Scope::Everything, id).await?;
            if open.is_some_and(|job| job.cancel_requested_at.is_none()) {
                cx.fenced(async |conn| Ok(job::request_cancel(conn, id).await?)).await?;
            }
        }
        cx.check()?;
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = cx.told_to_stop() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_the_image_s_only_if_the_old_one_comes_up_again() {
        assert_eq!(fault("gateway_exited", true, Some(true)), MemberFault::Image);
        assert_eq!(fault("gateway_not_ready", true, Some(true)), MemberFault::Image);
        assert_eq!(fault("gateway_exited", true, Some(false)), MemberFault::Instance);
        assert_eq!(fault("gateway_exited", false, Some(true)), MemberFault::Instance);
        assert_eq!(fault("config_failed", true, Some(true)), MemberFault::Instance);
        assert_eq!(fault("disk_full", true, None), MemberFault::Platform);
        assert_eq!(fault("docker_failed", true, Some(true)), MemberFault::Platform);
        assert_eq!(fault("gateway_exited", true, None), MemberFault::Platform);
    }

    fn by_image(failed: i64, owners_failed: i64, proved: i64, owners: i64) -> Option<Stop> {
        let tally = Tally {
            proved,
            failed_by_image: failed,
            owners_failed_by_image: owners_failed,
            owners,
            ..Tally::default()
        };
        judge(&tally)
    }

    #[test]
    fn a_bad_image_stops_it_early() {
        assert_eq!(by_image(1, 1, 0, 5), None, "the next one is tried before it is judged");
        assert_eq!(by_image(2, 2, 0, 5), Some(Stop::Image));
        assert_eq!(by_image(2, 1, 0, 1), Some(Stop::Image), "where all belong to one person");
        assert_eq!(by_image(2, 2, 17, 5), Some(Stop::Image));
    }

    #[test]
    fn a_few_do_not_hold_it_back() {
        assert_eq!(by_image(2, 2, 18, 5), None, "a tenth");
        assert_eq!(by_image(20, 1, 5, 5), None, "one person's");
    }

    #[test]
    fn a_server_in_trouble_stops_it() {
        let tally = Tally { failed_by_platform: 3, owners_failed_by_platform: 2, owners: 4, ..Tally::default() };
        assert_eq!(judge(&tally), Some(Stop::Platform));
        assert_eq!(judge(&Tally { proved: 3, ..tally }), None);
        assert_eq!(judge(&Tally { owners_failed_by_platform: 1, ..tally }), None);
    }
}
