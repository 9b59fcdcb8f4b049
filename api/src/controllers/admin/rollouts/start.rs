use axum::http::{HeaderName, StatusCode, header};
use clawdeploy_shared::{
    db::{
        Conn, Scope, instance,
        job::{self, Job, NewJob},
    },
    ids::InstanceId,
    job::{JobKind, JobStatus},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    audit::{Entry, Target},
    auth::{Admin, Principal},
    error::{AppError, AppResult},
    extract::{Json, OptionalJson},
    image_build,
    middleware::RequestContext,
    state::AppState,
    validate::Checks,
    views::job::JobView,
};

/// At most one rollout is open at a time.
const DEDUPE_KEY: &str = "update_all";

/// Options of an update of all instances. All fields are optional.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct UpdateAll {
    /// Build the image from the latest source first
    #[schema(default = true)]
    rebuild: bool,
    /// Instances to exclude
    #[schema(max_items = 1000)]
    exclude: Vec<InstanceId>,
}

/// Maximum number of excluded instances.
const EXCLUDED: usize = 1000;

/// The instances that a rollout excludes, from the arguments of its job.
pub(crate) fn excluded(job: &Job) -> Vec<InstanceId> {
    serde_json::from_value(job.payload["exclude"].clone()).unwrap_or_default()
}

impl Default for UpdateAll {
    fn default() -> Self {
        Self { rebuild: true, exclude: Vec::new() }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UpdatingAll {
    /// The job; `GET /api/admin/update-all/{id}` returns the progress of each instance.
    job: JobView,
    /// Whether the request joined a job that was already open.
    joined: bool,
}

/// Updates all instances
///
/// The rollout has waves: one instance, then a tenth, then the rest, and last the instances that failed last time or do
/// not run although they should. Each instance is updated by its own job, and rolled back on failure. A failure counts
/// against the image if the gateway starts again with the old image. The rollout stops after two such failures, if they
/// are more than a tenth of the instances that tried the image. It also stops after three failures with other causes
/// outside the instances, if they are more than half of all results. In both cases the failed instances must have two
/// different owners, unless the rollout has only one. The rollout can be cancelled like any other job; updates in
/// progress are then rolled back.
#[utoipa::path(
    post, path = "/api/admin/update-all", tag = "admin", request_body = Option<UpdateAll>,
    responses((status = ACCEPTED, body = UpdatingAll, headers(("Location", description = "URL of the job")))),
)]
pub async fn update_all(
    app: AppState,
    Admin(who): Admin,
    context: RequestContext,
    OptionalJson(mut form): OptionalJson<UpdateAll>,
) -> AppResult<(StatusCode, [(HeaderName, String); 1], Json<UpdatingAll>)> {
    form.exclude.sort();
    form.exclude.dedup();
    let (job, build, made) =
        app.transaction(Scope::Everything, async move |conn| in_transaction(conn, &who, &context, &form).await).await?;
    for job in build.iter().chain([&job]).filter(|job| job.status == JobStatus::Queued) {
        app.doorbell.ring(job.queue, job.id);
    }
    let location = [(header::LOCATION, format!("/api/jobs/{}", job.id))];
    Ok((StatusCode::ACCEPTED, location, Json(UpdatingAll { job: job.into(), joined: !made })))
}

/// Returns the job, the build that it waits for, and whether the job is new.
async fn in_transaction(
    conn: &mut Conn,
    who: &Principal,
    context: &RequestContext,
    form: &UpdateAll,
) -> AppResult<(Job, Option<Job>, bool)> {
    if let Some(open) = job::open_by_key(conn, DEDUPE_KEY).await? {
        // The open rollout does not satisfy a request that excludes other instances.
        if excluded(&open) != form.exclude {
            return Err(AppError::job_in_progress(open.into()));
        }
        return Ok((open, None, false));
    }
    check(conn, &form.exclude).await?;
    let build = if form.rebuild { Some(image_build::enqueue(conn, who, context, &json!({})).await?.0) } else { None };
    let new = NewJob {
        requested_by: Some(who.user.id),
        dedupe_key: Some(DEDUPE_KEY),
        depends_on: build.as_ref().map(|job| job.id),
        request_id: Some(&context.request_id),
        payload: if form.exclude.is_empty() { json!({}) } else { json!({ "exclude": form.exclude }) },
        ..NewJob::new(JobKind::UpdateAll)
    };
    let (job, made) = job::insert_or_join(conn, &new).await?;
    let detail = json!({ "jobId": job.id, "joined": !made, "exclude": form.exclude });
    Entry::new("instances.update_all", Target::Instances).detail(detail).by(conn, who, context).await?;
    Ok((job, build, made))
}

/// Refuses unknown ids: with a mistyped id, the intended instance would be updated.
async fn check(conn: &mut Conn, exclude: &[InstanceId]) -> AppResult<()> {
    let mut checks = Checks::default();
    if exclude.len() > EXCLUDED {
        checks.fail("exclude", "too_many", format!("must contain at most {EXCLUDED} instances"));
    } else {
        let known = instance::names(conn, &exclude.iter().collect::<Vec<_>>()).await?;
        if let Some(id) = exclude.iter().find(|id| !known.contains_key(*id)) {
            checks.fail("exclude", "unknown", format!("contains an instance that does not exist: {id}"));
        }
    }
    checks.done()
}
