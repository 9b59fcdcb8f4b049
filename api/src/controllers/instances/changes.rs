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

/// How many are shown; older ones have no way back any more.
const SHOWN: i64 = 50;

/// Progress of a change.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeStatus {
    /// The job is under way.
    Changing,
    /// It succeeded.
    Kept,
    /// Everything is as before, and nothing is kept.
    RolledBack,
    /// It could not be undone. What was kept is still there, and an administrator has to retry the job.
    Stuck,
    /// A newer version of the platform wrote it.
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

/// A change of an instance's container: an update, a rollback, or other settings.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeView {
    pub id: SnapshotId,
    pub job_id: JobId,
    pub reason: ChangeReason,
    pub status: ChangeStatus,
    /// Version of OpenClaw before; null: not known.
    pub from_version: Option<String>,
    /// Version of OpenClaw after; null: not known.
    pub to_version: Option<String>,
    /// Settings that it changed; null: not known, because a newer version of the platform wrote them.
    pub changed_settings: Option<Vec<Setting>>,
    /// `POST …/rollback` restores the state before this change.
    pub can_roll_back: bool,
    /// Until when that is possible.
    pub expires_at: Option<DateTime<Utc>>,
    /// Files that are kept for it.
    pub files: Option<i64>,
    /// Their size, in bytes.
    pub bytes: Option<i64>,
    /// How they were kept.
    pub method: Option<SnapshotMethod>,
    /// How long that took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// How long the gateway did not answer, in milliseconds; null: it did not run, or does not yet.
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

/// The changes of an instance's container, newest first
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
