//! Access to the inside of running instances.

use clawdeploy_shared::{
    db::{
        instance::{self, Instance},
        sleep,
    },
    ids::InstanceId,
    instance::InstanceStatus,
};

use crate::{
    auth::Principal,
    error::{AppError, AppResult, ErrorCode},
    state::AppState,
};

/// A running instance that the person owns, and its port. Administrators have no access to the inside of other people's
/// instances.
pub(crate) async fn own_running(
    app: &AppState,
    who: &Principal,
    id: &InstanceId,
) -> AppResult<(Instance, Option<u16>)> {
    let (instance, port) = own(app, who, id).await?;
    if instance.status == InstanceStatus::Running {
        return Ok((instance, port));
    }
    Err(not_running(&instance))
}

/// An instance that the person owns, and its port.
pub(crate) async fn own(app: &AppState, who: &Principal, id: &InstanceId) -> AppResult<(Instance, Option<u16>)> {
    let found = app.read(who.own(), async |conn| Ok(instance::find(conn, who.own(), id).await?)).await?;
    found.ok_or_else(|| AppError::not_found("instance"))
}

/// Why the inside of an instance cannot be reached.
pub(crate) fn not_running(instance: &Instance) -> AppError {
    let detail = if sleep::is_asleep(instance) && instance.status == InstanceStatus::Stopped {
        "The instance is asleep. Start it, or open its dashboard or a terminal.".to_owned()
    } else {
        format!("The instance must be running; it is {}.", instance.status)
    };
    AppError::new(ErrorCode::NotRunning, detail)
}
