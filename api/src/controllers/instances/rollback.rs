use clawdeploy_shared::{
    db::{Conn, snapshot},
    ids::InstanceId,
    job::JobKind,
};
use serde_json::json;

use super::{
    Accepted, InstancePath, Outcome,
    change::{self, Change},
};
use crate::{
    auth::Principal,
    capacity,
    error::{AppError, AppResult, ErrorCode},
    extract::Path,
    middleware::RequestContext,
    quota,
    state::AppState,
};

/// Rolls an instance back to its state before the last change
///
/// Restores image, settings, configuration and state; the workspace does not change. Possible while `GET …/changes`
/// lists a change with `canRollBack`. A rollback is itself a change, and can be rolled back in the same way. Refused if
/// the earlier limits would exceed the owner's quotas or the host's memory. If a rollback is already open, the response describes that job.
#[utoipa::path(
    post, path = "/api/instances/{id}/rollback", tag = "instances", params(InstancePath),
    responses((
        status = ACCEPTED, body = Accepted,
        headers(
            ("Location", description = "URL of the job"),
            ("Idempotency-Replayed", description = "`true`: the job existed before"),
        ),
    )),
)]
pub async fn rollback_instance(
    app: AppState,
    who: Principal,
    context: RequestContext,
    Path(path): Path<InstancePath>,
) -> AppResult<Accepted> {
    let state = app.clone();
    let outcome = app
        .transaction(who.scope(), async move |conn| in_transaction(conn, &who, &context, &path.id, &state).await)
        .await?;
    Ok(Accepted::of(&app, outcome))
}

async fn in_transaction(
    conn: &mut Conn,
    who: &Principal,
    context: &RequestContext,
    id: &InstanceId,
    app: &AppState,
) -> AppResult<Outcome> {
    let (instance, open) = change::ready(conn, who, id, JobKind::Rollback).await?;
    if let Some(job) = open {
        return Ok(Outcome::load(conn, instance, job).await?.replayed(true));
    }
    let kept = snapshot::latest_kept(conn, id).await?.ok_or_else(|| {
        let detail =
            "There is no earlier state to roll back to: the instance was never changed, or the snapshot has expired.";
        AppError::new(ErrorCode::NoWayBack, detail)
    })?;
    quota::check_rollback(conn, &app.quotas, &instance, &kept).await?;
    capacity::check_rollback(conn, &app.capacity, &instance, &kept).await?;
    let change = Change {
        kind: JobKind::Rollback,
        payload: json!({ "snapshotId": kept.id }),
        after: None,
        audit_action: "instance.rollback",
    };
    let job = change::queue(conn, who, context, &instance, change).await?;
    Ok(Outcome::load(conn, instance, job).await?)
}
