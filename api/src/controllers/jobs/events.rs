use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use clawdeploy_shared::db::{job, job_event, job_event::JobEvent};

use super::{JobPath, stream};
use crate::{
    auth::Principal,
    error::{AppError, AppResult, ErrorCode},
    extract::{Json, Path, Query},
    page::{Page, PageQuery},
    state::AppState,
};

const LAST_EVENT_ID: &str = "last-event-id";

/// What happened to a job
///
/// With `Accept: text/event-stream` the story is told as it happens: each entry is an event with its id and the entry as
/// JSON, and when the job is over there comes one named `end` with the job. A client that was cut off goes on where it
/// was with `Last-Event-ID`. Otherwise the answer is a page of the story so far, oldest first.
#[utoipa::path(
    get, path = "/api/jobs/{id}/events", tag = "jobs",
    params(JobPath, PageQuery, ("Last-Event-ID" = Option<i64>, Header, description = "Id of the last event that was seen")),
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
    let resume = last_event_id(&headers)?;
    let mut conn = app.db.conn().await?;
    job::find(&mut conn, who.scope(), path.id).await?.ok_or_else(|| AppError::not_found("job"))?;
    if wants_stream(&headers) {
        // A stream takes a connection for the moments it needs one only.
        drop(conn);
        return Ok(stream::open(app, who.user.id, path.id, resume.unwrap_or_default())?.into_response());
    }
    let rows = job_event::list(&mut conn, path.id, after.or(resume).unwrap_or_default(), limit.fetched()).await?;
    Ok(Json(Page::cut(rows, limit, |event| event.id, |event| event)).into_response())
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|one| one.trim().starts_with("text/event-stream"))
}

fn last_event_id(headers: &HeaderMap) -> AppResult<Option<i64>> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    id.map(Some).ok_or_else(|| {
        AppError::new(ErrorCode::InvalidHeader, "Last-Event-ID is not the id of an event.").with_field(
            "Last-Event-ID",
            "invalid",
            "must be the id of an event",
        )
    })
}
