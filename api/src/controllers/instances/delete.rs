use clawdeploy_shared::{
    db::{
        Conn, instance,
        job::{self, DESIRED_BEFORE, NewJob},
    },
    ids::InstanceId,
    instance::DesiredState,
    job::JobKind,
};
use serde_json::json;

use super::{Accepted, InstancePath, Outcome};
use crate::{
    audit::{Entry, Target},
    auth::Principal,
    controllers::jobs::desired_without,
    error::{AppError, AppResult},
    extract::Path,
    middleware::RequestContext,
    state::AppState,
};

/// Deletes an instance
///
/// Always accepted: other jobs on the instance are cancelled first. A repeated request returns the same job. The files
/// are kept for a while, during which the instance can be restored (see `GET /api/instances/deleted`).
#[utoipa::path(
    delete, path = "/api/instances/{id}", tag = "instances", params(InstancePath),
    responses((
        status = ACCEPTED, body = Accepted,
        headers(
            ("Location", description = "URL of the job"),
            ("Idempotency-Replayed", description = "`true`: the job existed before"),
        ),
    )),
)]
pub async fn delete_instance(
    app: AppState,
    who: Principal,
    context: RequestContext,
    Path(path): Path<InstancePath>,
) -> AppResult<Accepted> {
    let outcome =
        app.transaction(who.scope(), async move |conn| in_transaction(conn, &who, &context, &path.id).await).await?;
    Ok(Accepted::of(&app, outcome))
}

async fn in_transaction(
    conn: &mut Conn,
    who: &Principal,
    context: &RequestContext,
    id: &InstanceId,
) -> AppResult<Outcome> {
    let not_found = || AppError::not_found("instance");
    // Access is checked before anything is locked. Jobs are locked before their instance, as workers do.
    instance::find(conn, who.scope(), id).await?.ok_or_else(not_found)?;
    job::lock_open_on(conn, id).await?;
    let mut instance = instance::find_for_update(conn, who.scope(), id).await?.ok_or_else(not_found)?;

    let open = job::open_on(conn, id).await?;
    let (deletes, others): (Vec<_>, Vec<_>) = open.into_iter().partition(|job| job.kind == JobKind::Delete);
    if let Some(job) = deletes.into_iter().find(|job| job.cancel_requested_at.is_none()) {
        return Ok(Outcome::load(conn, instance, job).await?.replayed(true));
    }
    // If the deletion is cancelled later, the jobs that it cancels now stay cancelled.
    let mut taken_back = others.iter().filter(|job| job.cancel_requested_at.is_none());
    let before = taken_back.find_map(|job| desired_without(job, &instance));
    let before = before.unwrap_or(instance.desired_state);
    // A cancelled job that waited for a retry is now due, to undo its steps first, so the doorbell rings for it as
    // well.
    let mut cancelled = Vec::new();
    for job in others.iter().filter(|job| job.cancel_requested_at.is_none()) {
        cancelled.extend(job::request_cancel(conn, job.id).await?);
    }
    instance::set_desired_state(conn, id, DesiredState::Deleted).await?;
    instance.desired_state = DesiredState::Deleted;
    let new = NewJob {
        requested_by: Some(who.user.id),
        request_id: Some(&context.request_id),
        payload: json!({ DESIRED_BEFORE: before }),
        ..NewJob::on_instance(JobKind::Delete, id, instance.owner_id)
    };
    let job = job::insert(conn, &new).await?;
    Entry::new("instance.delete", Target::Instance(id))
        .owned_by(instance.owner_id)
        .detail(json!({ "name": instance.name, "jobId": job.id }))
        .by(conn, who, context)
        .await?;
    Ok(Outcome { others: cancelled, ..Outcome::load(conn, instance, job).await? })
}
