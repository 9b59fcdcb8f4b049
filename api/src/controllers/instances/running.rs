//! Access to the inside of running instances.

use clawdeploy_shared::{
    db::instance::{self, Instance},
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
    let found = app.read(who.own(), async |conn| Ok(instance::find(conn, who.own(), id).await?)).await?;
    let (instance, port) = found.ok_or_else(|| AppError::not_found("instance"))?;
    if instance.status == InstanceStatus::Running {
        return Ok((instance, port));
    }
    let detail = format!("The instance must be running; it is {}.", instance.status);
    Err(AppError::new(ErrorCode::NotRunning, detail))
}
