//! Updates every instance, in waves: one, then a tenth, then the rest. Two failures are enough to stop it.
//!
//! Each instance is updated by a job of its own, which rolls back by itself; this one only makes them and watches. What it
//! has made is in the table `rollout_members`, so that another worker can go on with it.

use std::time::Duration;

use clawdeploy_shared::{
    db::{
        Scope, instance,
        job::{self, Job, NewJob},
        lease,
        rollout::{self, Member, MemberStatus},
    },
    ids::{InstanceId, JobId},
    instance::DesiredState,
    job::{JobKind, JobStatus},
};
use diesel_async::AsyncConnection as _;
use serde_json::json;

use super::container;
use crate::engine::{context::JobContext, error::StepError};

/// Instances that are updated side by side: their boots are bound by CPU.
const SIDE_BY_SIDE: usize = 4;

/// From so many failures on nothing more is begun: rather the image is bad than that many instances.
const MAX_FAILURES: usize = 2;

/// Between two looks at the jobs of a wave.
const LOOK: Duration = Duration::from_secs(1);

pub(super) async fn update_all(cx: &JobContext) -> Result<(), StepError> {
    let reference = &cx.env.config.image.image;
    let image = cx.env.docker.image_id(reference).await?.ok_or_else(|| container::image_missing(reference))?;
    rollout::plan(&mut *cx.env.db.conn().await?, cx.job.id, &image).await?;
    let mut told = None;
    loop {
        cx.check()?;
        let members = look(cx).await?;
        let count = |status| members.iter().filter(|m| m.status == status).count();
        let (failed, updating) = (count(MemberStatus::Failed), count(MemberStatus::Updating));
        let ended = members.len() - count(MemberStatus::Waiting) - updating;
        if told != Some(ended) {
            told = Some(ended);
            let percent = i16::try_from(ended * 99 / members.len().max(1)).unwrap_or(99);
            cx.log_progress(&format!("{ended} of {} done, {failed} failed", members.len()), percent).await?;
        }
        let halted = failed >= MAX_FAILURES;
        if ended == members.len() {
            return if failed == 0 { Ok(()) } else { Err(failure(&members)) };
        }
        if halted && updating == 0 {
            return Err(failure(&members));
        }
        if !halted {
            // The wave under way: the first that is not at its end.
            let open = |m: &&Member| matches!(m.status, MemberStatus::Waiting | MemberStatus::Updating);
            let wave = members.iter().filter(open).map(|m| m.wave).min();
            let next = members.iter().filter(|m| Some(m.wave) == wave && m.status == MemberStatus::Waiting);
            for member in next.take(SIDE_BY_SIDE.saturating_sub(updating)) {
                begin(cx, &member.instance_id).await?;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = cx.told_to_stop() => {}
        }
    }
}

fn failure(members: &[Member]) -> StepError {
    let failed: Vec<_> = members.iter().filter(|m| m.status == MemberStatus::Failed).collect();
    let waiting = members.iter().filter(|m| m.status == MemberStatus::Waiting).count();
    let names: Vec<_> = failed.iter().map(|m| m.instance_id.as_str()).take(10).collect();
    let first = failed.iter().find_map(|m| m.error_message.as_deref()).unwrap_or("no reason was given");
    StepError::permanent(
        "rollout_failed",
        format!(
            "{} could not be updated and were rolled back ({}); {waiting} were not touched. The first one: {first}",
            failed.len(),
            names.join(", ")
        ),
    )
}

/// The members as they are now: those whose job has ended have ended.
async fn look(cx: &JobContext) -> Result<Vec<Member>, StepError> {
    let mut conn = cx.env.db.conn().await?;
    let mut members = rollout::members(&mut conn, cx.job.id).await?;
    for member in members.iter_mut().filter(|m| m.status == MemberStatus::Updating) {
        let job = match member.update_job_id {
            Some(id) => job::find(&mut conn, Scope::Everything, id).await?,
            None => None,
        };
        let Some((status, message)) = ended(job) else { continue };
        rollout::end(&mut conn, cx.job.id, &member.instance_id, status, message.as_deref()).await?;
        (member.status, member.error_message) = (status, message);
    }
    Ok(members)
}

/// How an update's end counts, if it has ended.
fn ended(job: Option<Job>) -> Option<(MemberStatus, Option<String>)> {
    let Some(job) = job else { return Some((MemberStatus::Skipped, Some("Its job was dropped.".into()))) };
    match job.status {
        JobStatus::Queued | JobStatus::Running | JobStatus::Unknown => None,
        JobStatus::Succeeded => Some((MemberStatus::Updated, None)),
        JobStatus::Failed => Some((MemberStatus::Failed, job.error_message)),
        JobStatus::Cancelled => Some((MemberStatus::Skipped, Some("Its update was cancelled.".into()))),
    }
}

/// Queues the update of one member.
async fn begin(cx: &JobContext, id: &InstanceId) -> Result<(), StepError> {
    let made: Option<JobId> = cx
        .env
        .db
        .conn()
        .await?
        .transaction::<_, StepError, _>(async |conn| {
            lease::hold(conn, &cx.lease).await?;
            let found = instance::find_for_update(conn, Scope::Everything, id).await?;
            let Some(instance) = found.filter(|i| i.desired_state != DesiredState::Deleted) else {
                rollout::end(conn, cx.job.id, id, MemberStatus::Skipped, Some("It was deleted meanwhile.")).await?;
                return Ok(None);
            };
            let new = NewJob {
                requested_by: cx.job.requested_by,
                request_id: cx.job.request_id.as_deref(),
                payload: json!({ "rollout": cx.job.id }),
                ..NewJob::on_instance(JobKind::Update, id, instance.owner_id)
            };
            let job = job::insert(conn, &new).await?;
            rollout::begin(conn, cx.job.id, id, job.id).await?;
            Ok(Some(job.id))
        })
        .await?;
    if let Some(job) = made {
        cx.env.doorbell.ring(JobKind::Update.queue(), job);
    }
    Ok(())
}

/// The way back: what was not begun is left as it is, and what is under way is rolled back and awaited.
pub(super) async fn leave_rest(cx: &JobContext) -> Result<(), StepError> {
    cx.hold().await?;
    rollout::skip_waiting(&mut *cx.env.db.conn().await?, cx.job.id, "The update of everything ended before its turn.")
        .await?;
    loop {
        let members = look(cx).await?;
        let updating: Vec<JobId> =
            members.iter().filter(|m| m.status == MemberStatus::Updating).filter_map(|m| m.update_job_id).collect();
        if updating.is_empty() {
            return Ok(());
        }
        for id in updating {
            let mut conn = cx.env.db.conn().await?;
            let open = job::find(&mut conn, Scope::Everything, id).await?;
            if open.is_some_and(|job| job.cancel_requested_at.is_none()) {
                job::request_cancel(&mut conn, id).await?;
            }
        }
        cx.check()?;
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = cx.told_to_stop() => {}
        }
    }
}
