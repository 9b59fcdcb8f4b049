use axum::{
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use clawdeploy_shared::db::{follow::JobPosition, job, job_event, job_event::JobEvent};

use super::{JobPath, stream::JobEvents};
use crate::{
    auth::Principal,
    error::{AppError, AppResult},
    event_stream,
    extract::{Json, Path, Query},
    page::{Page, PageQuery},
    state::AppState,
};

/// Lists the events of a job
///
/// With `Accept: text/event-stream`, the events are streamed as they happen: each server-sent event has the id of the
/// job event and contains it as JSON. When the job has ended, an event named `end` with the job follows. A disconnected
/// client resumes with `Last-Event-ID`. Otherwise, the response is a page of the events so far, oldest first.
#[utoipa::path(
    get, path = "/api/jobs/{id}/events", tag = "jobs",
    params(
        JobPath, PageQuery,
        ("Last-Event-ID" = Option<i64>, Header, description = "Id of the last event that the client received"),
    ),
    responses((status = OK, content((Page<JobEvent> = "application/json"), (String = "text/event-stream")))),
)]
pub async fn list_job_events(
    app: AppState,
    who: Principal,
    Path(path): Path<JobPath>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> AppResult<Response> {
    let (limit, after) = query.read::<i64>()?;
    let resume = event_stream::last_event_id(&headers)?;
    let streams = event_stream::is_wanted(&headers);
    let rows = app.read(who.scope(), async |conn| {
        job::find(conn, who.scope(), path.id).await?.ok_or_else(|| AppError::not_found("job"))?;
        // A stream reads the events itself.
        if streams {
            return Ok(Vec::new());
        }
        Ok(job_event::list(conn, path.id, after.or(resume).unwrap_or_default(), limit.fetched()).await?)
    });
    let rows = rows.await?;
    if streams {
        let position = JobPosition { job: path.id, after: resume.unwrap_or_default() };
        let source = JobEvents { scope: who.scope(), position };
        return Ok(event_stream::open(app, &who, source)?.into_response());
    }
    Ok(Json(Page::cut(rows, limit, |event| event.id, |event| event)).into_response())
}
