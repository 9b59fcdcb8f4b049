use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    db::recoverable::{self, Recoverable},
    ids::InstanceId,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{auth::Principal, error::AppResult, extract::Json, state::AppState};

/// A deleted instance that can still be restored.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletedInstance {
    id: InstanceId,
    name: String,
    deleted_at: DateTime<Utc>,
    /// Time at which its files are permanently removed.
    expires_at: Option<DateTime<Utc>>,
    /// Size of its files, in bytes; null: not known.
    bytes: Option<i64>,
}

impl From<Recoverable> for DeletedInstance {
    fn from(row: Recoverable) -> Self {
        Self {
            name: row.name.unwrap_or_else(|| row.id.to_string()),
            id: row.id,
            deleted_at: row.since,
            expires_at: row.expires_at,
            bytes: row.bytes,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedInstances {
    /// Newest first.
    items: Vec<DeletedInstance>,
}

/// Lists your deleted instances that can still be restored
#[utoipa::path(
    get, path = "/api/instances/deleted", tag = "instances",
    responses((status = OK, body = DeletedInstances)),
)]
pub async fn list_deleted_instances(app: AppState, who: Principal) -> AppResult<Json<DeletedInstances>> {
    let rows = app.read(who.own(), async |conn| Ok(recoverable::deleted_of(conn, who.user.id).await?)).await?;
    Ok(Json(DeletedInstances { items: rows.into_iter().map(DeletedInstance::from).collect() }))
}
