//! The stored log of an image build. It is streamed to administrators, and to the owner of a job that waits for the
//! build.

use axum::response::sse::Event;
use clawdeploy_shared::{
    db::{
        Conn, DbError,
        image::{self, ImageBuildStatus},
    },
    ids::ImageBuildId,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{AppError, AppResult};

pub mod position;
pub mod stream;

/// Maximum size of the text in one event, in bytes.
const PIECE: usize = 32 << 10;

/// A part of a build's log.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageLog {
    /// Byte offset in the whole log at which the text begins; earlier text is not kept.
    pub from: i64,
    /// Byte offset at which it ends, from which a client continues.
    pub to: i64,
    pub text: String,
    /// Progress of the build, in percent.
    pub progress: i16,
    pub status: ImageBuildStatus,
}

/// The log from byte `from` on, as far as it is stored. `None`: there is no such build.
pub async fn part(conn: &mut Conn, id: ImageBuildId, from: i64) -> Result<Option<ImageLog>, DbError> {
    // Read the build before its log: once the build has ended, its log is complete.
    let Some(build) = image::find(conn, id).await? else { return Ok(None) };
    let Some((mut text, mut begin)) = image::log_from(conn, id, from).await? else { return Ok(None) };
    if begin < from {
        // The log is shorter than what the client has seen, because another worker restarted the build.
        let Some(whole) = image::log_from(conn, id, 0).await? else { return Ok(None) };
        (text, begin) = whole;
    }
    let to = begin + i64::try_from(text.len()).unwrap_or(i64::MAX);
    Ok(Some(ImageLog { from: begin, to, text, progress: build.progress, status: build.status }))
}

/// Converts a part of the log to events. The id of each event is the byte offset at which its text ends.
pub fn events(log: &ImageLog) -> AppResult<Vec<Event>> {
    let event = |piece: ImageLog| Event::default().id(piece.to.to_string()).json_data(&piece);
    pieces(log).into_iter().map(event).collect::<Result<_, _>>().map_err(AppError::internal)
}

/// Splits a part of the log into pieces of limited size, at line ends where possible.
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
