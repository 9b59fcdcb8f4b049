use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    db::recoverable::{self, Recoverable, RecoverableState},
    ids::{InstanceId, UserId},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{auth::Admin, error::AppResult, extract::Json, state::AppState};

/// An instance that has files but is not in the database.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoverableInstance {
    id: InstanceId,
    /// Name; null: not known.
    name: Option<String>,
    state: RecoverableState,
    /// Reason why it is listed.
    reason: String,
    /// Owner; null: not known.
    owner_id: Option<UserId>,
    owner_email: Option<String>,
    /// Time at which it was deleted or found.
    since: DateTime<Utc>,
    /// Time at which its files are removed; null: they are not removed automatically.
    expires_at: Option<DateTime<Utc>>,
    /// Size of its files, in bytes; null: not known.
    bytes: Option<i64>,
    /// Time at which the removal of its files was scheduled; a worker removes them in its next sweep.
    purge_requested_at: Option<DateTime<Utc>>,
}

impl From<Recoverable> for RecoverableInstance {
    fn from(row: Recoverable) -> Self {
        Self {
            id: row.id,
            name: row.name,
            state: row.state,
            reason: row.reason,
            owner_id: row.owner_id,
            owner_email: row.owner_email,
            since: row.since,
            expires_at: row.expires_at,
            bytes: row.bytes,
            purge_requested_at: row.purge_requested_at,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RecoverableInstances {
    /// Newest first.
    items: Vec<RecoverableInstance>,
}

/// Lists deleted instances whose files are kept, and directories without an instance in the database
#[utoipa::path(
    get, path = "/api/admin/recoverable-instances", tag = "admin",
    responses((status = OK, body = RecoverableInstances)),
)]
pub async fn list_recoverable_instances(app: AppState, _: Admin) -> AppResult<Json<RecoverableInstances>> {
    let rows = recoverable::list(&mut *app.db.conn().await?).await?;
    Ok(Json(RecoverableInstances { items: rows.into_iter().map(RecoverableInstance::from).collect() }))
}
