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

/// What an instance has used in the last day, minute by minute
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
    let mut conn = app.db.conn_of(who.own()).await?;
    instance::find(&mut conn, who.own(), &path.id).await?.ok_or_else(|| AppError::not_found("instance"))?;
    Ok(Json(UsageHistory { points: usage::history(&mut conn, &path.id).await? }))
}
