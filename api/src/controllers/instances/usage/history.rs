use clawdeploy_shared::db::{
    instance,
    usage::{self, UsagePoint},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::InstancePath;
use crate::{
    auth::Principal,
    error::{AppError, AppResult},
    extract::{Json, Path},
    state::AppState,
};

/// Usage of an instance over time.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageHistory {
    /// Oldest first. Minutes in which the instance did not run are missing.
    points: Vec<UsagePoint>,
}

/// Returns an instance's usage in the last day, per minute
///
/// For the owner only.
#[utoipa::path(
    get, path = "/api/instances/{id}/usage/history", tag = "instances", params(InstancePath),
    responses((status = OK, body = UsageHistory)),
)]
pub async fn get_usage_history(
    app: AppState,
    who: Principal,
    Path(path): Path<InstancePath>,
) -> AppResult<Json<UsageHistory>> {
    history(app, who, path).await
}

/// Returns an instance's usage in the last day, per minute
///
/// Use `GET /api/instances/{id}/usage/history` instead.
#[utoipa::path(
    get, path = "/api/instances/{id}/stats/history", tag = "instances", params(InstancePath),
    responses((status = OK, body = UsageHistory)),
)]
#[deprecated = "use get_usage_history"]
pub async fn get_stats_history(
    app: AppState,
    who: Principal,
    Path(path): Path<InstancePath>,
) -> AppResult<Json<UsageHistory>> {
    history(app, who, path).await
}

async fn history(app: AppState, who: Principal, path: InstancePath) -> AppResult<Json<UsageHistory>> {
    let points = app.read(who.own(), async |conn| {
        instance::find(conn, who.own(), &path.id).await?.ok_or_else(|| AppError::not_found("instance"))?;
        Ok(usage::history(conn, &path.id).await?)
    });
    Ok(Json(UsageHistory { points: points.await? }))
}
