use axum::{
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use clawdeploy_shared::{
    db::{
        Conn, DbError, Scope,
        job::{self, Job},
    },
    job::JobKind,
};

use super::JobPath;
use crate::{
    auth::Principal,
    build_log::{
        ImageLog,
        position::{Build, BuildPosition, log_of_job},
        stream::BuildLogStream,
    },
    error::{AppError, AppResult},
    event_stream,
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
        let log = if streams { None } else { Some(log_of_job(conn, &build, from).await?) };
        Ok((build, log))
    });
    let (build, log) = found.await?;
    if let Some(log) = log {
        return Ok(Json(log).into_response());
    }
    let source = BuildLogStream(BuildPosition { build: Build::OfJob(build.id), from });
    Ok(event_stream::open(app, &who, source)?.into_response())
}

/// The build job that a job depends on. It has no owner: everyone whose job depends on it may read its log.
async fn build_of(conn: &mut Conn, job: &Job) -> Result<Option<Job>, DbError> {
    let Some(needed) = job.depends_on else { return Ok(None) };
    Ok(job::find(conn, Scope::Everything, needed).await?.filter(|needed| needed.kind == JobKind::RebuildImage))
}
