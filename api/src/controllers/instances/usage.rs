use clawdeploy_shared::db::usage::{self, RecentUsage};
use serde::Serialize;
use utoipa::ToSchema;

use super::usage_query::UsageQuery;
use crate::{
    auth::Principal,
    error::AppResult,
    extract::{Json, Query},
    state::AppState,
};

/// What several instances have used.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageOfSeveral {
    /// In no certain order; those of which nothing was measured are missing, and those that are not yours.
    items: Vec<RecentUsage>,
}

/// Resource usage of several of your instances in the last hour, per minute
#[utoipa::path(
    get, path = "/api/instances/usage", tag = "instances", params(UsageQuery),
    responses((status = OK, body = UsageOfSeveral)),
)]
pub async fn get_usage(
    app: AppState,
    who: Principal,
    Query(query): Query<UsageQuery>,
) -> AppResult<Json<UsageOfSeveral>> {
    let ids = query.read()?;
    let items = app.read(who.own(), async |conn| Ok(usage::recent(conn, who.own(), &ids).await?)).await?;
    Ok(Json(UsageOfSeveral { items }))
}
