use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    db::{Conn, Scope, instance, job, recoverable},
    ids::InstanceId,
    job::JobKind,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    audit::{Entry, Target},
    auth::{Admin, Principal},
    controllers::instances::InstancePath,
    error::{AppError, AppResult, ErrorCode},
    extract::{Json, Path},
    middleware::RequestContext,
    state::AppState,
};

/// A requested removal. A worker carries it out in its next sweep.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PurgeRequested {
    id: InstanceId,
    purge_requested_at: DateTime<Utc>,
}

/// Permanently removes a recoverable instance: its files, and its container if one still runs
///
/// A repeated request has no effect. Refused once a restore of the instance has been accepted.
#[utoipa::path(
    delete, path = "/api/admin/recoverable-instances/{id}", tag = "admin", params(InstancePath),
    responses((status = ACCEPTED, body = PurgeRequested)),
)]
pub async fn purge_instance(
    app: AppState,
    Admin(who): Admin,
    context: RequestContext,
    Path(path): Path<InstancePath>,
) -> AppResult<(StatusCode, Json<PurgeRequested>)> {
    let requested = app
        .transaction(Scope::Everything, async move |conn| in_transaction(conn, &who, &context, path.id).await)
        .await?;
    Ok((StatusCode::ACCEPTED, Json(requested)))
}

async fn in_transaction(
    conn: &mut Conn,
    who: &Principal,
    context: &RequestContext,
    id: InstanceId,
) -> AppResult<PurgeRequested> {
    // Locks first: a restore holds this lock until the instance exists.
    let row = recoverable::lock(conn, Scope::Everything, &id).await?;
    if let Some((instance, _)) = instance::find(conn, Scope::Everything, &id).await? {
        let open = job::open_on(conn, &id).await?;
        if let Some(job) = open.into_iter().find(|job| job.kind == JobKind::Restore) {
            return Err(AppError::job_in_progress(job.into()));
        }
        let detail = format!("The instance exists and is named {}. Delete it instead.", instance.name);
        return Err(AppError::new(ErrorCode::WrongStatus, detail));
    }
    let requested = recoverable::request_purge(conn, &id).await?;
    let purge_requested_at = requested.ok_or_else(|| AppError::not_found("recoverable instance"))?;
    // Without a row, an earlier request or the expiry has already scheduled the purge.
    if let Some(row) = row {
        Entry::new("instance.purge", Target::Instance(&id))
            .owned_by(row.owner_id)
            .detail(serde_json::json!({ "name": row.name, "was": row.state }))
            .by(conn, who, context)
            .await?;
    }
    Ok(PurgeRequested { id, purge_requested_at })
}
