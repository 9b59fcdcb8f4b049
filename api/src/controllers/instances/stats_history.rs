use clawdeploy_shared::db::{
    instance,
    usage::{self, UsagePoint},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::InstancePath;
use crate::{
    auth::Principal,
    error::{AppError, AppResult},
    extract::{Json, Path},
    state::AppState,
};

/// What an instance has used.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageHistory {
    /// Oldest first; none for minutes in which it did not run.
    points: Vec<UsagePoint>,
}

/// An instance's resource usage in the last day, per minute
///
/// For the owner only.
#[utoipa::path(
    get, path = "/api/instances/{id}/stats/history", tag = "instances", params(InstancePath),
    responses((status = OK, body = UsageHistory)),
)]
pub async fn get_stats_history(
    app: AppState,
    who: Principal,
    Path(path): Path<InstancePath>,
) -> AppResult<Json<UsageHistory>> {
    let points = app.read(who.own(), async |conn| {
        instance::find(conn, who.own(), &path.id).await?.ok_or_else(|| AppError::not_found("instance"))?;
        Ok(usage::history(conn, &path.id).await?)
    });
    Ok(Json(UsageHistory { points: points.await? }))
}
