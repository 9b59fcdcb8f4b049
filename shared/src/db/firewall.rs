//! The result of the last probe of the instances' firewall.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Bool, Float8, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Conn, DbError};
use crate::text_enum;

/// An older result says nothing about the present.
const STALE: Duration = Duration::from_mins(5);

text_enum!(
    /// What a probe on a network like an instance's could reach.
    FirewallState {
        /// Nothing that must be blocked.
        Ok = "ok",
        /// Something that must be blocked.
        Open = "open",
        /// A setting disables the firewall.
        Off = "off",
        /// It could not be tested, or was not tested recently.
        Unknown = "unknown",
    }
);

/// The instances' firewall, as the last probe found it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Firewall {
    #[diesel(sql_type = Text)]
    pub state: FirewallState,
    /// When the last probe ended; null: there has been none.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub checked_at: Option<DateTime<Utc>>,
    /// What is open and what to do about it, or why nothing is known.
    #[diesel(sql_type = Nullable<Text>)]
    pub message: Option<String>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(embed)]
    kept: Firewall,
    #[diesel(sql_type = Bool)]
    stale: bool,
    #[diesel(sql_type = Bool)]
    due: bool,
}

async fn row(conn: &mut Conn, every: Duration) -> Result<Option<Row>, DbError> {
    let row = diesel::sql_query(
        "SELECT state, checked_at, message, checked_at < now() - make_interval(secs => $1) AS stale, \
           checked_at <= now() - make_interval(secs => $2) OR checked_at > now() OR coalesce( \
             (SELECT requested_at > checked_at FROM sweeps WHERE name = 'firewall'), false) AS due \
         FROM firewall",
    )
    .bind::<Float8, _>(STALE.as_secs_f64())
    .bind::<Float8, _>(every.as_secs_f64())
    .get_result(conn)
    .await
    .optional()?;
    Ok(row)
}

/// The current state of the firewall, as far as known.
pub async fn current(conn: &mut Conn) -> Result<Firewall, DbError> {
    let unknown = |checked_at, message: &str| Firewall {
        state: FirewallState::Unknown,
        checked_at,
        message: Some(message.to_owned()),
    };
    Ok(match row(conn, STALE).await? {
        None => unknown(None, "No worker has tested it yet."),
        Some(Row { kept, stale: true, .. }) => {
            unknown(kept.checked_at, "No worker has tested it for more than five minutes. Check whether a worker runs.")
        }
        Some(Row { kept, .. }) => kept,
    })
}

/// The last result if it is younger than `every` and nobody has asked for a new one since.
pub async fn recent(conn: &mut Conn, every: Duration) -> Result<Option<Firewall>, DbError> {
    Ok(row(conn, every).await?.filter(|row| !row.due).map(|row| row.kept))
}

/// Replaces the stored result.
pub async fn record(conn: &mut Conn, worker: &str, state: FirewallState, message: Option<&str>) -> Result<(), DbError> {
    diesel::sql_query(
        "INSERT INTO firewall (state, message, worker, checked_at) VALUES ($1, $2, $3, clock_timestamp()) \
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, message = excluded.message, \
           worker = excluded.worker, checked_at = excluded.checked_at",
    )
    .bind::<Text, _>(state)
    .bind::<Nullable<Text>, _>(message)
    .bind::<Text, _>(worker)
    .execute(conn)
    .await?;
    Ok(())
}
