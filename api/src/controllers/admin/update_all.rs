use axum::http::{HeaderName, StatusCode, header};
use clawdeploy_shared::{
    db::{
        Conn,
        job::{self, Job, NewJob},
    },
    job::{JobKind, JobStatus},
};
use diesel_async::AsyncConnection as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::rebuild;
use crate::{
    audit::{Entry, Target},
    auth::{Admin, Principal},
    controllers::jobs::JobView,
    error::AppResult,
    extract::{Json, OptionalJson},
    middleware::RequestContext,
    state::AppState,
};

/// At most one update of everything is open at a time, whoever asks for it.
const DEDUPE_KEY: &str = "update_all";

/// How to update everything. Everything may be left out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct UpdateAll {
    /// Whether the image is built from the latest source first
    #[schema(default = true)]
    rebuild: bool,
}

impl Default for UpdateAll {
    fn default() -> Self {
        Self { rebuild: true }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UpdatingAll {
    /// The job; `GET /api/admin/update-all/{id}` tells how far it is with each instance
    job: JobView,
    /// Somebody had asked for the same before: this is the job of that request.
    joined: bool,
}

/// Updates every instance
///
/// In waves: one, then a tenth, then the rest. Each instance by a job of its own, which ends as an update does: up to date, or
/// as it was. After two failures nothing more is begun. Cancelled like any other job: what is under way is rolled back.
#[utoipa::path(
    post, path = "/api/admin/update-all", tag = "admin", request_body = Option<UpdateAll>,
    responses((status = ACCEPTED, body = UpdatingAll, headers(("Location", description = "The job")))),
)]
pub async fn update_all(
    app: AppState,
    Admin(who): Admin,
    context: RequestContext,
    OptionalJson(form): OptionalJson<UpdateAll>,
) -> AppResult<(StatusCode, [(HeaderName, String); 1], Json<UpdatingAll>)> {
    let db = app.db.clone();
    let (job, build, made) = app
        .change(async move {
            let mut conn = db.conn().await?;
            conn.transaction(async |conn| in_transaction(conn, &who, &context, &form).await).await
        })
        .await?;
    for job in build.iter().chain([&job]).filter(|job| job.status == JobStatus::Queued) {
        app.doorbell.ring(job.queue, job.id);
    }
    let location = [(header::LOCATION, format!("/api/jobs/{}", job.id))];
    Ok((StatusCode::ACCEPTED, location, Json(UpdatingAll { job: job.into(), joined: !made })))
}

/// The job, the build that it waits for, and whether the job was made.
async fn in_transaction(
    conn: &mut Conn,
    who: &Principal,
    context: &RequestContext,
    form: &UpdateAll,
) -> AppResult<(Job, Option<Job>, bool)> {
    if let Some(open) = job::open_by_key(conn, DEDUPE_KEY).await? {
        return Ok((open, None, false));
    }
    let build = if form.rebuild { Some(rebuild::enqueue(conn, who, context, &json!({})).await?.0) } else { None };
    let new = NewJob {
        requested_by: Some(who.user.id),
        dedupe_key: Some(DEDUPE_KEY),
        depends_on: build.as_ref().map(|job| job.id),
        request_id: Some(&context.request_id),
        ..NewJob::new(JobKind::UpdateAll)
    };
    let (job, made) = job::insert_or_join(conn, &new).await?;
    let detail = json!({ "jobId": job.id, "joined": !made });
    Entry::new("instances.update_all", Target::Instances).detail(detail).by(conn, who, context).await?;
    Ok((job, build, made))
}
