//! The log of a gateway.

use axum::{
    body::Body,
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response, sse::Event},
};
use chrono::{DateTime, SecondsFormat};
use clawdeploy_shared::{
    db::instance,
    rpc::{
        Verb,
        usage::{LogArguments, LogLine},
    },
};
use futures_util::stream;

use super::{InstancePath, log_query::LogQuery};
use crate::{
    auth::Principal,
    error::{AppError, AppResult},
    event_stream::{self, live::Live},
    extract::{Path, Query},
    state::AppState,
};

/// Returns the log of an instance's gateway
///
/// For the owner only. With `Accept: text/event-stream`, each line is an event named `line` with its time, stream and
/// text. After the last line, an event named `end` follows. A disconnected client resumes with `Last-Event-ID`.
/// Otherwise, the response is a text file in which each line begins with its time. Secrets of the instance are masked,
/// and control characters are removed.
#[utoipa::path(
    get, path = "/api/instances/{id}/logs", tag = "instances",
    params(
        InstancePath, LogQuery,
        ("Last-Event-ID" = Option<i64>, Header, description = "Id of the last event that the client received"),
    ),
    responses((status = OK, content((LogLine = "text/event-stream"), (String = "text/plain")))),
)]
pub async fn read_logs(
    app: AppState,
    who: Principal,
    Path(path): Path<InstancePath>,
    Query(query): Query<LogQuery>,
    headers: HeaderMap,
) -> AppResult<Response> {
    let resumed = event_stream::last_event_id(&headers)?.map(DateTime::from_timestamp_nanos);
    let found = app.read(who.own(), async |conn| Ok(instance::find(conn, who.own(), &path.id).await?)).await?;
    found.ok_or_else(|| AppError::not_found("instance"))?;
    let streams = event_stream::is_wanted(&headers);
    let tail = query.tail()?;
    let arguments = LogArguments {
        // A client that resumes gets all lines that it missed.
        tail: resumed.is_none().then_some(tail),
        since: resumed.or(query.since),
        follow: query.follow.unwrap_or(streams),
    };
    let values = app.rpc.stream(Verb::Logs, &path.id, &arguments).await?;
    let live = Live::new(&app, &who, &path.id, values)?;
    if streams {
        return Ok(live.events(event).into_response());
    }
    let text = stream::unfold(live, async |mut live| {
        let line: LogLine = live.next().await?;
        let at = line.at.to_rfc3339_opts(SecondsFormat::Millis, true);
        Some((Ok::<_, std::convert::Infallible>(format!("{at} {}\n", line.text)), live))
    });
    let file = format!("attachment; filename=\"{}.log\"", path.id);
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CONTENT_DISPOSITION, &file)];
    Ok((headers, Body::from_stream(text)).into_response())
}

fn event(line: &LogLine) -> Event {
    let id = line.at.timestamp_nanos_opt().unwrap_or_default().max(0);
    let event = Event::default().event("line").id(id.to_string());
    // It consists of plain values, so its serialization cannot fail.
    event.json_data(line).unwrap_or_default()
}
