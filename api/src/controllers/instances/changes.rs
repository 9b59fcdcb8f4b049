use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    db::{
        instance,
        snapshot::{self, ChangeReason, Snapshot, SnapshotMethod, SnapshotStatus},
    },
    ids::{JobId, SnapshotId},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::InstancePath;
use crate::{
    auth::Principal,
    error::{AppError, AppResult},
    extract::{Json, Path},
    page::Page,
    state::AppState,
    views::instance::{Setting, changed},
};

/// Maximum number of changes in the response.
const SHOWN: i64 = 50;

/// Progress of a change.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeStatus {
    /// The job is in progress.
    Changing,
    /// The change succeeded.
    Kept,
    /// The change was undone, and its snapshot was deleted.
    RolledBack,
    /// The change could not be undone. Its snapshot still exists, and an administrator must retry the job.
    Stuck,
    /// A newer version of the platform wrote this status.
    Unknown,
}

impl ChangeStatus {
    fn of(row: &Snapshot) -> Self {
        match row.status {
            _ if row.stuck_at.is_some() => Self::Stuck,
            SnapshotStatus::Changing => Self::Changing,
            SnapshotStatus::Kept => Self::Kept,
            SnapshotStatus::RolledBack => Self::RolledBack,
            SnapshotStatus::Unknown => Self::Unknown,
        }
    }
}

/// A change of an instance's container: an update, a rollback or a settings change.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeView {
    pub id: SnapshotId,
    pub job_id: JobId,
    pub reason: ChangeReason,
    pub status: ChangeStatus,
    /// Version of OpenClaw before the change; null: not known.
    pub from_version: Option<String>,
    /// Version of OpenClaw after the change; null: not known.
    pub to_version: Option<String>,
    /// Settings that changed; null: not known, because a newer version of the platform wrote them.
    pub changed_settings: Option<Vec<Setting>>,
    /// Whether `POST …/rollback` restores the state before this change.
    pub can_roll_back: bool,
    /// Time until which a rollback is possible.
    pub expires_at: Option<DateTime<Utc>>,
    /// Number of files in the snapshot.
    pub files: Option<i64>,
    /// Size of the snapshot, in bytes.
    pub bytes: Option<i64>,
    /// Method by which the snapshot was taken.
    pub method: Option<SnapshotMethod>,
    /// Time that taking the snapshot took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// Time during which the gateway was down, in milliseconds; null: it was not running, or the change is in progress.
    pub down_ms: Option<i64>,
    pub created_at: DateTime<Utc>,
}

impl ChangeView {
    fn new(row: Snapshot, way_back: Option<SnapshotId>) -> Self {
        let settings = row.from_settings().ok().zip(row.to_settings().ok());
        Self {
            changed_settings: settings.map(|(from, to)| changed(&from, &to)),
            can_roll_back: way_back == Some(row.id),
            id: row.id,
            job_id: row.job_id,
            reason: row.reason,
            status: ChangeStatus::of(&row),
            from_version: row.from_version,
            to_version: row.to_version,
            expires_at: row.expires_at,
            files: row.files,
            bytes: row.bytes,
            method: row.method,
            duration_ms: row.duration_ms,
            down_ms: row.down_ms,
            created_at: row.created_at,
        }
    }
}

/// Lists the changes of an instance's container, newest first
#[utoipa::path(
    get, path = "/api/instances/{id}/changes", tag = "instances", params(InstancePath),
    responses((status = OK, body = Page<ChangeView>)),
)]
pub async fn list_changes(
    app: AppState,
    who: Principal,
    Path(path): Path<InstancePath>,
) -> AppResult<Json<Page<ChangeView>>> {
    let seen = app.read(who.scope(), async |conn| {
        instance::find(conn, who.scope(), &path.id).await?.ok_or_else(|| AppError::not_found("instance"))?;
        let way_back = snapshot::latest_kept(conn, &path.id).await?.map(|kept| kept.id);
        Ok((way_back, snapshot::list(conn, &path.id, SHOWN).await?))
    });
    let (way_back, rows) = seen.await?;
    Ok(Json(Page::whole(rows.into_iter().map(|row| ChangeView::new(row, way_back)).collect())))
}
