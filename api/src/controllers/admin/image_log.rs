//! What a build prints, as it prints it.

use axum::{
    http::HeaderMap,
    response::{IntoResponse as _, Response, sse::Event},
};
use clawdeploy_shared::{
    db::{
        Conn, DbError,
        image::{self, ImageBuildStatus},
    },
    ids::ImageBuildId,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::ImagePath;
use crate::{
    auth::Admin,
    error::{AppError, AppResult},
    event_stream::{self, Chapter, Story},
    extract::{Json, Path},
    state::AppState,
};

/// Most that one event tells, in bytes.
const PIECE: usize = 32 << 10;

/// A part of a build's log.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageLog {
    /// At which byte of the whole log the text begins: what is before it is not kept.
    from: i64,
    /// At which byte it ends, which is where one goes on.
    to: i64,
    text: String,
    /// How far the build is, in percent.
    progress: i16,
    status: ImageBuildStatus,
}

/// What a build of the OpenClaw image prints
///
/// With `Accept: text/event-stream` it is told as it is printed: each event is a part of the log, its id the byte at which
/// it ends, and when the build is over there comes one named `end` with the build. A client that was cut off goes on where
/// it was with `Last-Event-ID`. Otherwise the answer is what is kept of the log so far. Of a long log the beginning is cut
/// off; a build that is begun anew begins a new log.
#[utoipa::path(
    get, path = "/api/admin/images/{id}/log", tag = "admin",
    params(ImagePath, ("Last-Event-ID" = Option<i64>, Header, description = "Id of the last event that was seen")),
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
    let log = part(&mut conn, path.id, from).await?.ok_or_else(|| AppError::not_found("build"))?;
    if event_stream::is_wanted(&headers) {
        // A stream takes a connection for the moments it needs one only.
        drop(conn);
        let story = LogStory { build: path.id, from };
        return Ok(event_stream::open(app, &who, story)?.into_response());
    }
    Ok(Json(log).into_response())
}

/// The log from a byte on, as far as it is kept; `None`: there is no such build.
async fn part(conn: &mut Conn, id: ImageBuildId, from: i64) -> Result<Option<ImageLog>, DbError> {
    // First the build, then its log: of one that is over all is written.
    let Some(build) = image::find(conn, id).await? else { return Ok(None) };
    let Some((mut text, mut begin)) = image::log_from(conn, id, from).await? else { return Ok(None) };
    if begin < from {
        // The log is shorter than what was seen of it: another worker has begun anew.
        let Some(whole) = image::log_from(conn, id, 0).await? else { return Ok(None) };
        (text, begin) = whole;
    }
    let to = begin + i64::try_from(text.len()).unwrap_or(i64::MAX);
    Ok(Some(ImageLog { from: begin, to, text, progress: build.progress, status: build.status }))
}

struct LogStory {
    build: ImageBuildId,
    /// The byte up to which it is told.
    from: i64,
}

impl Story for LogStory {
    async fn next(&mut self, app: &AppState) -> AppResult<Chapter> {
        let mut conn = app.db.conn().await?;
        // One whose content was there already has no row any more.
        let Some(log) = part(&mut conn, self.build, self.from).await? else {
            return Ok(Chapter { events: Vec::new(), last: true });
        };
        let over = log.status != ImageBuildStatus::Building;
        let mut events = Vec::new();
        for piece in pieces(&log) {
            self.from = piece.to;
            let event = Event::default().id(piece.to.to_string());
            events.push(event.json_data(&piece).map_err(AppError::internal)?);
        }
        if over && let Some(build) = image::find(&mut conn, self.build).await? {
            events.push(Event::default().event("end").json_data(build).map_err(AppError::internal)?);
        }
        Ok(Chapter { events, last: over })
    }
}

/// A long part as several, cut between lines where that is possible.
fn pieces(log: &ImageLog) -> Vec<ImageLog> {
    let mut pieces = Vec::new();
    let (mut rest, mut from) = (log.text.as_str(), log.from);
    while !rest.is_empty() {
        let end = if rest.len() <= PIECE {
            rest.len()
        } else {
            rest[..rest.floor_char_boundary(PIECE)].rfind('\n').map_or(rest.floor_char_boundary(PIECE), |line| line + 1)
        };
        let to = from + i64::try_from(end).unwrap_or(i64::MAX);
        let text = rest[..end].to_owned();
        pieces.push(ImageLog { from, to, text, progress: log.progress, status: log.status });
        (rest, from) = (&rest[end..], to);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_told_in_pieces_that_fit_together() {
        let text = "a line that is long enough é\n".repeat(5000) + &"x".repeat(3 * PIECE);
        let of = |text: &str, from| ImageLog {
            from,
            to: from + i64::try_from(text.len()).unwrap(),
            text: text.to_owned(),
            progress: 1,
            status: ImageBuildStatus::Building,
        };
        let told = pieces(&of(&text, 7));
        assert!(told.len() > 4 && told.iter().all(|piece| piece.text.len() <= PIECE));
        assert!(told.windows(2).all(|pair| pair[0].to == pair[1].from));
        assert_eq!(told.iter().map(|piece| piece.text.as_str()).collect::<String>(), text);
        assert!(told[0].text.ends_with('\n'));
        assert_eq!(pieces(&of("", 7)), []);
    }
}
