//! The log of an image build, complete or as a stream.

use axum::{
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};

use super::ImagePath;
use crate::{
    auth::Admin,
    build_log::{
        self, ImageLog,
        position::{Build, BuildPosition},
        stream::BuildLogStream,
    },
    error::{AppError, AppResult},
    event_stream,
    extract::{Json, Path},
    state::AppState,
};

/// Returns the log of a build of the OpenClaw image
///
/// With `Accept: text/event-stream`, the log is streamed as it is written. Each event contains a part of the log, and
/// its id is the byte offset at which that part ends. After the build, an event named `end` contains the build. A
/// disconnected client resumes with `Last-Event-ID`. Otherwise, the response is the log so far. The beginning of a long
/// log is dropped. A build that restarts begins a new log.
#[utoipa::path(
    get, path = "/api/admin/images/{id}/log", tag = "admin",
    params(
        ImagePath,
        ("Last-Event-ID" = Option<i64>, Header, description = "Id of the last event that the client received"),
    ),
    responses((status = OK, content((ImageLog = "application/json"), (String = "text/event-stream")))),
)]
pub async fn follow_image_log(
    app: AppState,
    Admin(who): Admin,
    Path(path): Path<ImagePath>,
    headers: HeaderMap,
) -> AppResult<Response> {
    let from = event_stream::last_event_id(&headers)?.unwrap_or_default();
    let mut conn = app.db.conn().await?;
    let log = build_log::part(&mut conn, path.id, from).await?.ok_or_else(|| AppError::not_found("build"))?;
    if event_stream::is_wanted(&headers) {
        // An open stream must not hold a database connection.
        drop(conn);
        let source = BuildLogStream(BuildPosition { build: Build::Image(path.id), from });
        return Ok(event_stream::open(app, &who, source)?.into_response());
    }
    Ok(Json(log).into_response())
}
