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

/// Returns the log of the image build that a job waits for or has waited for
///
/// Like `GET /api/admin/images/{id}/log`: with `Accept: text/event-stream`, the log is streamed as it is written;
/// otherwise, the response is the log so far. The stream can be opened before the build starts. Its last event is named
/// `end` and contains the result of the build, without text. The response is 404 if the job does not depend on a build.
#[utoipa::path(
    get, path = "/api/jobs/{id}/build-log", tag = "jobs",
    params(
        JobPath,
        ("Last-Event-ID" = Option<i64>, Header, description = "Id of the last event that the client received"),
    ),
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
        // A stream reads the log itself.
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

/// The build job that a job depends on. It has no owner: everyone whose job depends on it may read its log.
async fn build_of(conn: &mut Conn, job: &Job) -> Result<Option<Job>, DbError> {
    let Some(needed) = job.depends_on else { return Ok(None) };
    Ok(job::find(conn, Scope::Everything, needed).await?.filter(|needed| needed.kind == JobKind::RebuildImage))
}

/// The log from a byte offset on. Empty if the build has not started or its row was deleted.
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

/// The status of a build without a row: it has not started, or an image with the same content existed.
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
    /// Byte offset up to which the log has been sent.
    from: i64,
}

impl EventSource for BuildLogSource {
    async fn next(&mut self, app: &AppState) -> AppResult<EventBatch> {
        let mut conn = app.db.conn().await?;
        // The job is read before its log: if the job has ended, the log is complete.
        let Some(build) = job::find(&mut conn, Scope::Everything, self.build).await? else {
            return Ok(EventBatch { events: Vec::new(), last: true });
        };
        let log = log(&mut conn, &build, self.from).await?;
        let mut events = build_log::events(&log)?;
        self.from = log.to;
        // The status of the job decides, because the job may retry a failed build.
        let over = build.status.is_terminal();
        if over {
            let end = ImageLog { from: log.to, text: String::new(), status: status(build.status), ..log };
            events.push(Event::default().event("end").json_data(end).map_err(AppError::internal)?);
        }
        Ok(EventBatch { events, last: over })
    }
}
