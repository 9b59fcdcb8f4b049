//! Accepts starts, stops and restarts, and decides when each is possible.

use clawdeploy_shared::{
    db::{
        Conn,
        instance::{self, Instance},
        job::{self, DESIRED_BEFORE, Job, NewJob},
        sleep, version_policy,
    },
    ids::InstanceId,
    instance::{DesiredState, InstanceStatus},
    job::{JobKind, JobStatus},
    sleep::WokenBy,
};
use serde_json::json;

use super::{Accepted, Outcome, change::refuse_stuck};
use crate::{
    audit::{Entry, Target},
    auth::Principal,
    capacity,
    error::{AppError, AppResult, ErrorCode},
    middleware::RequestContext,
    state::AppState,
    views::instance::current,
};

/// A requested action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    Start,
    Stop,
    Restart,
}

impl Power {
    fn audit_action(self) -> &'static str {
        match self {
            Self::Start => "instance.start",
            Self::Stop => "instance.stop",
            Self::Restart => "instance.restart",
        }
    }

    fn desired(self) -> DesiredState {
        match self {
            Self::Start | Self::Restart => DesiredState::Running,
            Self::Stop => DesiredState::Stopped,
        }
    }

    /// Whether an open job has the requested result, so that no other job is needed.
    fn is_done_by(self, kind: JobKind, status: JobStatus) -> bool {
        match self {
            Self::Start => matches!(kind, JobKind::Start | JobKind::Provision | JobKind::Restore),
            Self::Stop => kind == JobKind::Stop,
            // Not a running restart: it may have begun before the reason for this request arose.
            Self::Restart => kind == JobKind::Restart && status == JobStatus::Queued,
        }
    }

    /// The job for the action on an instance without open jobs, or the reason why the action is not possible.
    fn job(self, status: InstanceStatus, has_container: bool) -> Result<JobKind, AppError> {
        use InstanceStatus::{Error, Running, Starting, Stopped};
        let refuse = |code, detail: &'static str| Err(AppError::new(code, detail));
        match (self, status) {
            // Without a container, there is nothing to start: the instance is provisioned again.
            (Self::Start, Error) if !has_container => Ok(JobKind::Provision),
            (Self::Start, Stopped | Error) => Ok(JobKind::Start),
            (Self::Start, Running) => refuse(ErrorCode::AlreadyRunning, "The instance is already running."),
            (Self::Stop, Error) if !has_container => refuse(
                ErrorCode::WrongStatus,
                "The instance was never provisioned, so it cannot be stopped. Start or delete it.",
            ),
            (Self::Stop, Running | Error) => Ok(JobKind::Stop),
            // No job is starting it: its gateway exits and is restarted, possibly without end.
            (Self::Stop, Starting) if has_container => Ok(JobKind::Stop),
            (Self::Stop, Stopped) => refuse(ErrorCode::AlreadyStopped, "The instance is already stopped."),
            (Self::Restart, Running) => Ok(JobKind::Restart),
            (Self::Restart, Stopped | Error) => {
                refuse(ErrorCode::WrongStatus, "The instance is not running, so it cannot be restarted. Start it.")
            }
            // An instance in such a status normally has an open job, which is refused earlier. If it has none, the
            // reconciler will repair the status.
            (_, other) => {
                let detail = format!("The instance is currently {other}. Try again shortly.");
                Err(AppError::new(ErrorCode::WrongStatus, detail))
            }
        }
    }
}

/// Accepts an action on an instance that the person may see.
pub(super) async fn accept(
    app: AppState,
    who: Principal,
    context: RequestContext,
    id: InstanceId,
    power: Power,
) -> AppResult<Accepted> {
    let state = app.clone();
    let outcome = app
        .transaction(who.scope(), async move |conn| in_transaction(conn, &who, &context, &id, power, &state).await)
        .await?;
    Ok(Accepted::of(&app, outcome))
}

async fn in_transaction(
    conn: &mut Conn,
    who: &Principal,
    context: &RequestContext,
    id: &InstanceId,
    power: Power,
    app: &AppState,
) -> AppResult<Outcome> {
    let found = instance::find_for_update(conn, who.scope(), id).await?;
    let mut instance = found.ok_or_else(|| AppError::not_found("instance"))?;
    let asleep = sleep::is_asleep(&instance);
    let open = job::open_on(conn, id).await?;
    if let [only] = &open[..]
        && power.is_done_by(only.kind, only.status)
        && instance.desired_state == power.desired()
        && !only.is_taken_back()
    {
        let job = only.clone();
        if power == Power::Stop && asleep {
            return stay_stopped(conn, who, context, instance, job).await;
        }
        return Ok(Outcome::load(conn, instance, job).await?.replayed(true));
    }
    if let Some(open) = current(open) {
        return Err(AppError::job_in_progress(open.into()));
    }
    if instance.desired_state == DesiredState::Deleted {
        let detail = "The instance is being deleted. If the deletion failed, delete it again.";
        return Err(AppError::new(ErrorCode::WrongStatus, detail));
    }
    refuse_stuck(conn, id).await?;
    if power == Power::Stop && asleep && instance.status == InstanceStatus::Stopped {
        // Nothing is left to do: a frozen gateway is stopped without being asked for. The response describes the job
        // that let it fall asleep.
        let job = match sleep::last_stop(conn, id).await? {
            Some(job) => job,
            None => job::insert(conn, &NewJob::on_instance(JobKind::Noop, id, instance.owner_id)).await?,
        };
        return stay_stopped(conn, who, context, instance, job).await;
    }
    let mut kind = power.job(instance.status, instance.container_id.is_some())?;
    if power.desired() == DesiredState::Running {
        refuse_vulnerable(conn, &instance).await?;
        capacity::check_start(conn, &app.capacity, &instance).await?;
        // Pending settings need a new container, and a snapshot to roll back to.
        if instance.pending_settings.is_some() && kind != JobKind::Provision {
            kind = JobKind::ApplySettings;
        }
    }
    let payload = match kind {
        // Recorded so that the instance is stopped, as before, if the job is cancelled or undone.
        JobKind::ApplySettings => json!({ "start": power == Power::Start }),
        JobKind::Stop => json!({ DESIRED_BEFORE: instance.desired_state }),
        _ => json!({}),
    };
    instance::set_desired_state(conn, id, power.desired()).await?;
    if asleep && power == Power::Start {
        sleep::note_woken(conn, id, WokenBy::Start).await?;
    }
    instance.desired_state = power.desired();
    let job = NewJob {
        requested_by: Some(who.user.id),
        request_id: Some(&context.request_id),
        payload,
        ..NewJob::on_instance(kind, id, instance.owner_id)
    };
    let job = job::insert(conn, &job).await?;
    Entry::new(power.audit_action(), Target::Instance(id))
        .owned_by(instance.owner_id)
        .detail(json!({ "jobId": job.id }))
        .by(conn, who, context)
        .await?;
    Ok(Outcome::load(conn, instance, job).await?)
}

/// Ends the sleep of an instance, which stays stopped: nothing wakes it any more.
async fn stay_stopped(
    conn: &mut Conn,
    who: &Principal,
    context: &RequestContext,
    instance: Instance,
    job: Job,
) -> AppResult<Outcome> {
    instance::set_desired_state(conn, &instance.id, DesiredState::Stopped).await?;
    Entry::new(Power::Stop.audit_action(), Target::Instance(&instance.id))
        .owned_by(instance.owner_id)
        .detail(json!({ "jobId": job.id }))
        .by(conn, who, context)
        .await?;
    let instance = Instance { asleep_since: None, wake_at: None, ..instance };
    Ok(Outcome::load(conn, instance, job).await?.replayed(true))
}

/// Refuses to start a version of OpenClaw that the policy forbids. Running instances keep running.
async fn refuse_vulnerable(conn: &mut Conn, instance: &Instance) -> AppResult<()> {
    let policy = version_policy::get(conn).await?;
    if !policy.refuses(instance.openclaw_version.as_deref()) {
        return Ok(());
    }
    let detail = format!(
        "OpenClaw {} is known to be vulnerable and may not be started. Update the instance (POST …/update), then start it.",
        instance.openclaw_version.as_deref().unwrap_or_default()
    );
    Err(AppError::new(ErrorCode::VersionRefused, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_possible_when() {
        use InstanceStatus::{Error, Running, Starting, Stopped};
        let table = [
            (Power::Start, Stopped, true, Ok(JobKind::Start)),
            (Power::Start, Error, true, Ok(JobKind::Start)),
            (Power::Start, Error, false, Ok(JobKind::Provision)),
            (Power::Start, Running, true, Err(ErrorCode::AlreadyRunning)),
            (Power::Stop, Running, true, Ok(JobKind::Stop)),
            (Power::Stop, Error, true, Ok(JobKind::Stop)),
            (Power::Stop, Starting, true, Ok(JobKind::Stop)),
            (Power::Stop, Starting, false, Err(ErrorCode::WrongStatus)),
            (Power::Start, Starting, true, Err(ErrorCode::WrongStatus)),
            (Power::Restart, Starting, true, Err(ErrorCode::WrongStatus)),
            (Power::Stop, Error, false, Err(ErrorCode::WrongStatus)),
            (Power::Stop, Stopped, true, Err(ErrorCode::AlreadyStopped)),
            (Power::Restart, Running, true, Ok(JobKind::Restart)),
            (Power::Restart, Stopped, true, Err(ErrorCode::WrongStatus)),
            (Power::Restart, Error, true, Err(ErrorCode::WrongStatus)),
        ];
        for (power, status, container, want) in table {
            assert_eq!(power.job(status, container).map_err(|e| e.code()), want, "{power:?} {status}");
        }
    }

    #[test]
    fn nothing_is_possible_in_between() {
        use InstanceStatus::{Deleting, Pending, Provisioning, Stopping, Updating};
        for status in [Pending, Provisioning, Stopping, Updating, Deleting] {
            for power in [Power::Start, Power::Stop, Power::Restart] {
                assert_eq!(
                    power.job(status, true).map_err(|e| e.code()),
                    Err(ErrorCode::WrongStatus),
                    "{power:?} {status}"
                );
            }
        }
    }

    #[test]
    fn what_is_under_way_is_not_asked_for_twice() {
        use JobKind::{Delete, Provision, Restart, Start, Stop};
        use JobStatus::{Queued, Running};
        let same = [
            (Power::Start, Start, Queued),
            (Power::Start, Start, Running),
            (Power::Start, Provision, Queued),
            (Power::Start, Provision, Running),
            (Power::Stop, Stop, Queued),
            (Power::Stop, Stop, Running),
            (Power::Restart, Restart, Queued),
        ];
        for power in [Power::Start, Power::Stop, Power::Restart] {
            for kind in [Provision, Start, Stop, Restart, Delete] {
                for status in [Queued, Running] {
                    let want = same.contains(&(power, kind, status));
                    assert_eq!(power.is_done_by(kind, status), want, "{power:?} while {kind} is {status}");
                }
            }
        }
    }
}
