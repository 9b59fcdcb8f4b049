//! Which instances nginx routes, and what it shows for the others.
//!
//! An instance is routed while its status is `running`, so every write of a status also decides the route and the two
//! cannot differ. Two additions: an instance whose gateway answers is routed before its job ends, so that the address
//! works once the job has succeeded. One in the warm pool is routed before anybody has it, so that a creation that takes
//! it does not wait for nginx.

use diesel::{
    prelude::*,
    sql_types::{Array, Bool, Int4, Int8, Nullable, Text},
};
use diesel_async::{AsyncConnection as _, RunQueryDsl};

use super::{
    Conn, DbError,
    lease::{self, Lease, LeaseError},
    schema::ready_gateways,
};
use crate::{ids::InstanceId, instance::InstanceStatus};

/// Whether the gateway of the instance `i` answers.
const ANSWERS: &str = "(i.status = 'running' OR EXISTS (SELECT 1 FROM ready_gateways r JOIN jobs j ON j.id = r.job_id \
    WHERE r.instance_id = i.id AND j.status = 'running' AND j.attempt = r.attempt AND j.unwinding_to IS NULL))";

/// Whether the instance `i` sleeps, or is falling asleep.
const ASLEEP: &str = "(i.asleep_since IS NOT NULL AND i.desired_state = 'stopped')";

/// A routed instance as read from the rows, not validated yet.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct RouteRow {
    #[diesel(sql_type = Text)]
    pub id: String,
    #[diesel(sql_type = Int4)]
    pub port: i32,
}

/// All routed instances at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Number of this reading. A reading with a higher number contains everything committed before this one.
    pub generation: i64,
    pub rows: Vec<RouteRow>,
}

#[derive(QueryableByName)]
struct Generation {
    #[diesel(sql_type = Int8)]
    generation: i64,
}

/// Reads the routes under a number above every earlier one and above `known`, which may be larger than the database's
/// own after the restore of a backup.
pub async fn read(conn: &mut Conn, known: i64) -> Result<Reading, DbError> {
    conn.transaction(async |conn| {
        // The row's lock orders readings: a higher number is read later.
        let numbered: Generation = diesel::sql_query(
            "INSERT INTO routing (generation) VALUES ($1 + 1) \
             ON CONFLICT (singleton) DO UPDATE SET generation = greatest(routing.generation, $1) + 1 RETURNING generation",
        )
        .bind::<Int8, _>(known)
        .get_result(conn)
        .await?;
        let rows = diesel::sql_query(format!(
            "SELECT i.id, p.port FROM instances i JOIN ports p ON p.instance_id = i.id \
             WHERE {ANSWERS} OR i.status IN ('pending', 'provisioning') \
               AND EXISTS (SELECT FROM warm_instances w WHERE w.instance_id = i.id AND w.ready_at IS NOT NULL) \
             ORDER BY i.id, p.port"
        ))
        .load(conn)
        .await?;
        Ok(Reading { generation: numbered.generation, rows })
    })
    .await
}

/// Records, for a job, that the gateway answers.
pub async fn note_ready(conn: &mut Conn, lease: &Lease, id: &InstanceId) -> Result<(), LeaseError> {
    lease::fenced(conn, lease, async |conn| {
        let found = (ready_gateways::job_id.eq(lease.job), ready_gateways::attempt.eq(lease.attempt));
        diesel::insert_into(ready_gateways::table)
            .values((ready_gateways::instance_id.eq(id), found))
            .on_conflict(ready_gateways::instance_id)
            .do_update()
            .set(found)
            .execute(conn)
            .await?;
        Ok(())
    })
    .await
}

/// Keeps released ports from being given out while nginx may still route to them.
pub async fn prolong_refusals(conn: &mut Conn) -> Result<(), DbError> {
    diesel::sql_query(
        "UPDATE ports SET refused_until = now() + interval '10 minutes' WHERE instance_id IS NULL AND refused_until > now()",
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether a request to an instance can be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The gateway answers on this port of the loopback interface.
    At(u16),
    /// It sleeps, and nothing wakes it.
    Asleep,
    /// It does not run, and nobody wants it to; or there is no such instance.
    Never,
}

#[derive(QueryableByName)]
struct ArrivalRow {
    #[diesel(sql_type = Text)]
    id: InstanceId,
    #[diesel(sql_type = Nullable<Int4>)]
    port: Option<i32>,
    #[diesel(sql_type = Bool)]
    is_busy: bool,
    #[diesel(sql_type = Bool)]
    is_asleep: bool,
    #[diesel(sql_type = Bool)]
    is_wanted: bool,
}

impl ArrivalRow {
    /// `None`: it is about to run, or is still being stopped.
    fn arrival(&self) -> Option<Arrival> {
        let port = self.port.and_then(|port| u16::try_from(port).ok());
        match port {
            Some(port) => Some(Arrival::At(port)),
            None if self.is_asleep && !self.is_busy => Some(Arrival::Asleep),
            None if self.is_asleep || self.is_wanted => None,
            None => Some(Arrival::Never),
        }
    }
}

/// Whether requests to these instances can be passed on. Left out: those for which it is worth waiting.
///
/// One whose start has failed is not worth it, although somebody wants it to run.
pub async fn arrivals(conn: &mut Conn, ids: &[InstanceId]) -> Result<Vec<(InstanceId, Arrival)>, DbError> {
    let rows: Vec<ArrivalRow> = diesel::sql_query(format!(
        "SELECT asked.id, open.busy AS is_busy, coalesce({ASLEEP}, false) AS is_asleep, \
           CASE WHEN {ANSWERS} THEN (SELECT min(port) FROM ports WHERE instance_id = i.id HAVING count(*) = 1) END AS port, \
           coalesce(i.desired_state = 'running' AND (i.status <> 'error' OR open.busy), false) AS is_wanted \
         FROM unnest($1) AS asked (id) LEFT JOIN instances i ON i.id = asked.id AND i.owner_id IS NOT NULL \
           LEFT JOIN LATERAL (SELECT EXISTS (SELECT FROM jobs j WHERE j.instance_id = i.id \
             AND j.status IN ('queued', 'running')) AS busy) open ON true"
    ))
    .bind::<Array<Text>, _>(ids)
    .load(conn)
    .await?;
    Ok(rows.into_iter().filter_map(|row| Some((row.id.clone(), row.arrival()?))).collect())
}

/// The public state of an instance. Anyone who knows its id can see it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Shown {
    #[diesel(sql_type = Text)]
    pub status: InstanceStatus,
    /// Step of the running job, if there is one.
    #[diesel(sql_type = Nullable<Text>)]
    pub step: Option<String>,
    /// It sleeps, or is falling asleep.
    #[diesel(sql_type = Bool)]
    pub asleep: bool,
}

/// The public state of an instance. `None`: there is no instance of this id.
pub async fn shown(conn: &mut Conn, id: &InstanceId) -> Result<Option<Shown>, DbError> {
    // Only step titles of its log: they are ours and the same for all.
    Ok(diesel::sql_query(format!(
        "SELECT status, (SELECT e.message FROM jobs j JOIN job_events e ON e.job_id = j.id \
           WHERE j.instance_id = i.id AND j.status = 'running' AND e.kind = 'step_started' \
           ORDER BY e.id DESC LIMIT 1) AS step, {ASLEEP} AS asleep \
         FROM instances i WHERE id = $1 AND owner_id IS NOT NULL"
    ))
    .bind::<Text, _>(id)
    .get_result(conn)
    .await
    .optional()?)
}
