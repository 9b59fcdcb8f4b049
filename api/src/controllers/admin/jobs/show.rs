use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    db::{
        Scope, job,
        job_event::{self, JobEvent},
    },
    job::Unwinding,
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

/// Entries of the story that are shown; a job that has more has long been going round in circles.
const EVENTS: i64 = 5000;

/// A job with everything that is known of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobStory {
    #[serde(flatten)]
    job: AdminJob,
    /// The steps that were begun, in their order.
    steps: Vec<Step>,
    /// Its place in the queue; null: it is not waiting.
    queue: Option<QueuePlace>,
    /// The job's arguments; never a secret.
    #[schema(value_type = Object)]
    payload: Value,
    /// The status in which it will end once its steps are undone; null: they are not being undone.
    unwinding_to: Option<Unwinding>,
    cancel_requested_at: Option<DateTime<Utc>>,
    /// What happened, oldest first.
    events: Vec<JobEvent>,
    /// There are more events than are shown; `GET /api/jobs/{id}/events` has them all.
    more_events: bool,
}

/// A job with its complete history
#[utoipa::path(
    get, path = "/api/admin/jobs/{id}", tag = "admin", params(JobPath),
    responses((status = OK, body = JobStory)),
)]
pub async fn get_job_story(app: AppState, _: Admin, Path(path): Path<JobPath>) -> AppResult<Json<JobStory>> {
    let mut conn = app.db.conn().await?;
    let job = job::find(&mut conn, Scope::Everything, path.id).await?.ok_or_else(|| AppError::not_found("job"))?;
    let names = Names::of(&mut conn, std::slice::from_ref(&job)).await?;
    let JobDetails { steps, queue, .. } = JobDetails::load(&mut conn, job.clone()).await?;
    let mut events = job_event::list(&mut conn, path.id, 0, EVENTS + 1).await?;
    let shown = usize::try_from(EVENTS).unwrap_or(usize::MAX);
    let more_events = events.len() > shown;
    events.truncate(shown);
    Ok(Json(JobStory {
        steps,
        queue,
        payload: job.payload.clone(),
        unwinding_to: job.unwinding_to,
        cancel_requested_at: job.cancel_requested_at,
        events,
        more_events,
        job: AdminJob::new(job, &names),
    }))
}
