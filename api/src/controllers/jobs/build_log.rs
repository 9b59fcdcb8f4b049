use axum::{
    http::HeaderMap,
    response::{IntoResponse as _, Response, sse::Event},
};
use clawdeploy_shared::{
    db::{
        Conn, DbError, Scope,
        image::{self, ImageBuildStatus},
        job::{self, Job},
    },
    ids::JobId,
    job::{JobKind, JobStatus},
};

use super::JobPath;
use crate::{
    auth::Principal,
    build_log::{self, ImageLog},
    error::{AppError, AppResult},
    event_stream::{self, EventBatch, EventSource},
    extract::{Json, Path},
    state::AppState,
};

/// The log of the image build that a job waits for, or has waited for
///
/// Like `GET /api/admin/images/{id}/log`: with `Accept: text/event-stream` the log is streamed as it is written, otherwise the
/// answer is the log so far. The stream can be opened before the build starts; an event named `end` at its end tells how the
/// build ended, without a text. 404 for a job that waits for no build.
#[utoipa::path(
    get, path = "/api/jobs/{id}/build-log", tag = "jobs",
    params(JobPath, ("Last-Event-ID" = Option<i64>, Header, description = "Id of the last event that the client received")),
    responses((status = OK, content((ImageLog = "application/json"), (String = "text/event-stream")))),
)]
pub async fn follow_build_log(
    app: AppState,
    who: Principal,
    Path(path): Path<JobPath>,
    headers: HeaderMap,
) -> AppResult<Response> {
    let from = event_stream::last_event_id(&headers)?.unwrap_or_default();
    let streams = event_stream::is_wanted(&headers);
    let found = app.read(who.own(), async |conn| {
        let job = job::find(conn, who.own(), path.id).await?.ok_or_else(|| AppError::not_found("job"))?;
        let build = build_of(conn, &job).await?.ok_or_else(|| AppError::not_found("build of this job"))?;
        // A stream asks for the log itself.
        let log = if streams { None } else { Some(log(conn, &build, from).await?) };
        Ok((build, log))
    });
    let (build, log) = found.await?;
    if let Some(log) = log {
        return Ok(Json(log).into_response());
    }
    let source = BuildLogSource { build: build.id, from };
    Ok(event_stream::open(app, &who, source)?.into_response())
}

/// The job that builds what this one waits for. It is nobody's, and everybody's who waits for it.
async fn build_of(conn: &mut Conn, job: &Job) -> Result<Option<Job>, DbError> {
    let Some(needed) = job.depends_on else { return Ok(None) };
    Ok(job::find(conn, Scope::Everything, needed).await?.filter(|needed| needed.kind == JobKind::RebuildImage))
}

/// The log from a byte on; an empty one where there is no build, yet or any more.
async fn log(conn: &mut Conn, build: &Job, from: i64) -> Result<ImageLog, DbError> {
    let found = match image::of_job(conn, build.id).await? {
        Some(id) => build_log::part(conn, id, from).await?,
        None => None,
    };
    Ok(found.unwrap_or_else(|| {
        let text = String::new();
        ImageLog { from, to: from, text, progress: build.progress, status: status(build.status) }
    }))
}

/// How far a build is whose own row does not say so: it waits, or what it would have made was there already.
fn status(job: JobStatus) -> ImageBuildStatus {
    match job {
        JobStatus::Queued | JobStatus::Running => ImageBuildStatus::Building,
        JobStatus::Unknown => ImageBuildStatus::Unknown,
        JobStatus::Succeeded => ImageBuildStatus::Ready,
        JobStatus::Failed => ImageBuildStatus::Failed,
        JobStatus::Cancelled => ImageBuildStatus::Cancelled,
    }
}

struct BuildLogSource {
    build: JobId,
    /// The byte up to which it is told.
    from: i64,
}

impl EventSource for BuildLogSource {
    async fn next(&mut self, app: &AppState) -> AppResult<EventBatch> {
        let mut conn = app.db.conn().await?;
        // First the job, then its log: of one that is over all is written.
        let Some(build) = job::find(&mut conn, Scope::Everything, self.build).await? else {
            return Ok(EventBatch { events: Vec::new(), last: true });
        };
        let log = log(&mut conn, &build, self.from).await?;
        let mut events = build_log::events(&log)?;
        self.from = log.to;
        // A build that failed once may be tried again by its job.
        let over = build.status.is_terminal();
        if over {
            let end = ImageLog { from: log.to, text: String::new(), status: status(build.status), ..log };
            events.push(Event::default().event("end").json_data(end).map_err(AppError::internal)?);
        }
        Ok(EventBatch { events, last: over })
    }
}
