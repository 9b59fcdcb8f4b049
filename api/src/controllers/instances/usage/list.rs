use clawdeploy_shared::db::usage::{self, RecentUsage};
use serde::Serialize;
use utoipa::ToSchema;

use super::query::UsageQuery;
use crate::{
    auth::Principal,
    error::AppResult,
    extract::{Json, Query},
    state::AppState,
};

/// Usage of several instances.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageOfSeveral {
    /// In no particular order. Instances without measurements and instances of others are missing.
    items: Vec<RecentUsage>,
}

/// Returns the usage of several of your instances in the last hour, per minute
#[utoipa::path(
    get, path = "/api/instances/usage", tag = "instances", params(UsageQuery),
    responses((status = OK, body = UsageOfSeveral)),
)]
pub async fn list_usage(
    app: AppState,
    who: Principal,
    Query(query): Query<UsageQuery>,
) -> AppResult<Json<UsageOfSeveral>> {
    let ids = query.read()?;
    let items = app.read(who.own(), async |conn| Ok(usage::recent(conn, who.own(), &ids).await?)).await?;
    Ok(Json(UsageOfSeveral { items }))
}
