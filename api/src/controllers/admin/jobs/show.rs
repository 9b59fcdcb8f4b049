use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    db::{
        Scope, job,
        job_event::{self, JobEvent},
    },
    job::UndoOutcome,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    auth::Admin,
    controllers::jobs::JobPath,
    error::{AppError, AppResult},
    extract::{Json, Path},
    state::AppState,
    views::{
        admin_job::{AdminJob, Names},
        job::{JobDetails, QueuePlace},
        steps::Step,
    },
};

/// Maximum number of events in the response. A job with more is stuck in a loop.
const EVENTS: i64 = 5000;

/// A job with all details, for administrators.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminJobDetails {
    #[serde(flatten)]
    job: AdminJob,
    /// Steps that have started, in order.
    steps: Vec<Step>,
    /// Place in the queue; null: the job is not waiting.
    queue: Option<QueuePlace>,
    /// Arguments of the job, without secrets.
    #[schema(value_type = Object)]
    payload: Value,
    /// Status with which the job ends once its steps are undone; null: the job is not being undone.
    undo_outcome: Option<UndoOutcome>,
    /// Former name of `undoOutcome`, kept for one release.
    #[schema(deprecated)]
    unwinding_to: Option<UndoOutcome>,
    cancel_requested_at: Option<DateTime<Utc>>,
    /// Events, oldest first.
    events: Vec<JobEvent>,
    /// Whether there are more events than these; `GET /api/jobs/{id}/events` returns all of them.
    more_events: bool,
}

/// Returns a job with its steps, events and arguments
#[utoipa::path(
    get, path = "/api/admin/jobs/{id}", tag = "admin", params(JobPath),
    responses((status = OK, body = AdminJobDetails)),
)]
pub async fn get_admin_job(app: AppState, _: Admin, Path(path): Path<JobPath>) -> AppResult<Json<AdminJobDetails>> {
    let mut conn = app.db.conn().await?;
    let job = job::find(&mut conn, Scope::Everything, path.id).await?.ok_or_else(|| AppError::not_found("job"))?;
    let names = Names::of(&mut conn, std::slice::from_ref(&job)).await?;
    let JobDetails { steps, queue, .. } = JobDetails::load(&mut conn, job.clone()).await?;
    let mut events = job_event::list(&mut conn, path.id, 0, EVENTS + 1).await?;
    let shown = usize::try_from(EVENTS).unwrap_or(usize::MAX);
    let more_events = events.len() > shown;
    events.truncate(shown);
    Ok(Json(AdminJobDetails {
        steps,
        queue,
        payload: job.payload.clone(),
        undo_outcome: job.unwinding_to,
        unwinding_to: job.unwinding_to,
        cancel_requested_at: job.cancel_requested_at,
        events,
        more_events,
        job: AdminJob::new(job, &names),
    }))
}
