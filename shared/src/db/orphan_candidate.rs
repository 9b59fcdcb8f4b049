//! Candidates for orphans: things that seem to belong to nothing. One is removed only when it was seen twice, some time
//! apart, because Docker and the tables cannot be read at the same moment.

use std::{collections::HashSet, time::Duration};

use diesel::{
    dsl::sql,
    prelude::*,
    sql_types::{Float8, Timestamptz},
};
use diesel_async::RunQueryDsl;

use super::{Conn, DbError, schema::sightings};
use crate::text_enum;

text_enum!(
    /// What kind of thing it is.
    OrphanKind {
        Container = "container",
        Network = "network",
        Directory = "directory",
    } else Unknown
);

/// Records everything of a kind that is seen now and deletes the rest. Returns what was first seen at least `age` ago,
/// by the database's clock, and in every look since.
pub async fn note(conn: &mut Conn, kind: OrphanKind, seen: &[&str], age: Duration) -> Result<HashSet<String>, DbError> {
    let of_kind = sightings::table.filter(sightings::kind.eq(kind));
    diesel::delete(of_kind.filter(sightings::subject.ne_all(seen))).execute(conn).await?;
    let rows: Vec<_> = seen.iter().map(|subject| (sightings::kind.eq(kind), sightings::subject.eq(*subject))).collect();
    diesel::insert_into(sightings::table).values(rows).on_conflict_do_nothing().execute(conn).await?;
    let then = sql::<Timestamptz>("now() - make_interval(secs => ").bind::<Float8, _>(age.as_secs_f64()).sql(")");
    let old: Vec<String> = of_kind
        .filter(sightings::subject.eq_any(seen).and(sightings::first_seen_at.le(then)))
        .select(sightings::subject)
        .load(conn)
        .await?;
    Ok(old.into_iter().collect())
}

/// Deletes a candidate that is gone. If it appears again, it counts as new.
pub async fn forget(conn: &mut Conn, kind: OrphanKind, subject: &str) -> Result<(), DbError> {
    diesel::delete(sightings::table.find((kind, subject))).execute(conn).await?;
    Ok(())
}
