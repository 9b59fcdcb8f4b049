//! Start, stop and restart: which of them is possible when, and how one is accepted.

use clawdeploy_shared::{
    db::{
        Conn,
        instance::{self, Instance},
        job::{self, Job, NewJob},
        port,
    },
    ids::InstanceId,
    instance::{DesiredState, InstanceStatus},
    job::JobKind,
};
use diesel_async::AsyncConnection as _;
use serde_json::json;

use super::{Accepted, view::current};
use crate::{
    audit::{Entry, Target},
    auth::Principal,
    error::{AppError, AppResult, ErrorCode},
    middleware::RequestContext,
    state::AppState,
};

/// What the owner asks for.
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

    /// The job that does it to an instance on which no other job is open, or why that is not possible.
    fn job(self, status: InstanceStatus, has_container: bool) -> Result<JobKind, AppError> {
        use InstanceStatus::{Error, Running, Stopped};
        let refuse = |code, detail: &'static str| Err(AppError::new(code, detail));
        match (self, status) {
            // What never came up has nothing to be started: it is made, from the beginning.
            (Self::Start, Error) if !has_container => Ok(JobKind::Provision),
            (Self::Start, Stopped | Error) => Ok(JobKind::Start),
            (Self::Start, Running) => refuse(ErrorCode::AlreadyRunning, "The instance is running already."),
            (Self::Stop, Error) if !has_container => refuse(
                ErrorCode::WrongStatus,
                "The instance never came up, there is nothing to stop. Start or delete it.",
            ),
            (Self::Stop, Running | Error) => Ok(JobKind::Stop),
            (Self::Stop, Stopped) => refuse(ErrorCode::AlreadyStopped, "The instance is stopped already."),
            (Self::Restart, Running) => Ok(JobKind::Restart),
            (Self::Restart, Stopped | Error) => {
                refuse(ErrorCode::WrongStatus, "The instance is not running, so it cannot be restarted. Start it.")
            }
            // A job should be open in these, and would be in the way; without one the platform is about to repair it.
            (_, other) => {
                let detail = format!("The instance is {other} at the moment. Try again shortly.");
                Err(AppError::new(ErrorCode::WrongStatus, detail))
            }
        }
    }
}

/// Accepts a change of an instance that the person may see.
pub(super) async fn accept(
    app: AppState,
    who: Principal,
    context: RequestContext,
    id: InstanceId,
    power: Power,
) -> AppResult<Accepted> {
    let db = app.db.clone();
    let (instance, port, job) = app
        .change(async move {
            let mut conn = db.conn().await?;
            conn.transaction(async |conn| in_transaction(conn, &who, &context, &id, power).await).await
        })
        .await?;
    app.doorbell.ring(job.queue, job.id);
    Ok(Accepted::new(instance, port, job, &app.routing))
}

async fn in_transaction(
    conn: &mut Conn,
    who: &Principal,
    context: &RequestContext,
    id: &InstanceId,
    power: Power,
) -> AppResult<(Instance, Option<u16>, Job)> {
    let found = instance::find_for_update(conn, who.scope(), id).await?;
    let mut instance = found.ok_or_else(|| AppError::not_found("instance"))?;
    if let Some(open) = current(job::open_on(conn, id).await?) {
        return Err(AppError::job_in_progress(open.into()));
    }
    if instance.desired_state == DesiredState::Deleted {
        let detail = "The instance is to be deleted. Delete it again if that has failed.";
        return Err(AppError::new(ErrorCode::WrongStatus, detail));
    }
    let kind = power.job(instance.status, instance.container_id.is_some())?;
    instance::set_desired_state(conn, id, power.desired()).await?;
    instance.desired_state = power.desired();
    let job = NewJob {
        requested_by: Some(who.user.id),
        request_id: Some(&context.request_id),
        ..NewJob::on_instance(kind, id, instance.owner_id)
    };
    let job = job::insert(conn, &job).await?;
    Entry::new(power.audit_action(), Target::Instance(id))
        .owned_by(instance.owner_id)
        .detail(json!({ "jobId": job.id }))
        .by(conn, who, context)
        .await?;
    Ok((instance, port::of(conn, id).await?, job))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_possible_when() {
        use InstanceStatus::{Error, Running, Stopped};
        let table = [
            (Power::Start, Stopped, true, Ok(JobKind::Start)),
            (Power::Start, Error, true, Ok(JobKind::Start)),
            (Power::Start, Error, false, Ok(JobKind::Provision)),
            (Power::Start, Running, true, Err(ErrorCode::AlreadyRunning)),
            (Power::Stop, Running, true, Ok(JobKind::Stop)),
            (Power::Stop, Error, true, Ok(JobKind::Stop)),
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
        use InstanceStatus::{Deleting, Pending, Provisioning, Starting, Stopping, Updating};
        for status in [Pending, Provisioning, Starting, Stopping, Updating, Deleting] {
            for power in [Power::Start, Power::Stop, Power::Restart] {
                assert_eq!(
                    power.job(status, true).map_err(|e| e.code()),
                    Err(ErrorCode::WrongStatus),
                    "{power:?} {status}"
                );
            }
        }
    }
}
