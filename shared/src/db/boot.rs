//! Decides who may boot a gateway. Boots are bound by CPU: many at once are all slow, so boots are admitted in turn,
//! over all workers of the engine.
//!
//! Each admitted job takes a slot, and so does each gateway that boots by itself, as all do after a reboot of the host.
//! A row is valid while that attempt of its job runs, so a lost worker's slot is free once its lease expires.

use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncConnection as _, RunQueryDsl};

use super::{
    Conn,
    lease::{self, Lease, LeaseError},
    schema::boots,
};

/// An arbitrary number, the same in every process, so that requests are handled one after the other.
const LOCK: i64 = 0x0063_6c61_7762_6f6f;

/// A boot that takes longer waits for something other than CPU, and its slot is freed. So gateways that never answer
/// cannot block others.
const SLOT_SECONDS: f64 = 60.0;

/// Answer to a request for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Admitted,
    Waits {
        /// Gateways that boot now.
        booting: i64,
        /// Jobs that wait and come first.
        ahead: i64,
    },
}

/// A request for a slot.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Gateways that may boot at once.
    pub slots: i64,
    /// The system made the job. Jobs of people go first.
    pub by_system: bool,
    /// Do not wait; only count the boot.
    pub at_once: bool,
}

#[derive(QueryableByName)]
struct Now {
    #[diesel(sql_type = sql_types::Int8)]
    booting: i64,
    #[diesel(sql_type = sql_types::Int8)]
    ahead: i64,
    #[diesel(sql_type = sql_types::Bool)]
    admitted: bool,
}

/// Requests a slot to boot. A job that has to wait asks again and keeps its turn.
pub async fn ask(conn: &mut Conn, lease: &Lease, ask: Ask) -> Result<Admission, LeaseError> {
    // Not `fenced`: that would lock the job's row, and renewals would wait for other requests.
    conn.transaction::<_, LeaseError, _>(async |conn| {
        diesel::sql_query("SELECT pg_advisory_xact_lock($1)").bind::<sql_types::Int8, _>(LOCK).execute(conn).await?;
        lease::hold(conn, lease).await?;
        diesel::sql_query(
            "DELETE FROM boots WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = boots.job_id \
               AND jobs.status = 'running' AND jobs.attempt = boots.attempt)",
        )
        .execute(conn)
        .await?;
        diesel::insert_into(boots::table)
            .values((
                boots::job_id.eq(lease.job),
                boots::attempt.eq(lease.attempt),
                boots::by_system.eq(ask.by_system),
            ))
            .on_conflict_do_nothing()
            .execute(conn)
            .await?;
        let now: Now = diesel::sql_query(
            "SELECT own.admitted_at IS NOT NULL AS admitted, \
               (SELECT count(*) FROM boots WHERE admitted_at > now() - make_interval(secs => $2)) + \
               (SELECT count(*) FROM instances WHERE status = 'starting' \
                 AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.instance_id = instances.id \
                   AND jobs.status IN ('queued', 'running'))) AS booting, \
               (SELECT count(*) FROM boots AS other WHERE other.admitted_at IS NULL \
                 AND (other.by_system, other.asked_at, other.job_id) < (own.by_system, own.asked_at, own.job_id)) AS ahead \
             FROM boots AS own WHERE own.job_id = $1",
        )
        .bind::<sql_types::Uuid, _>(lease.job)
        .bind::<sql_types::Float8, _>(SLOT_SECONDS)
        .get_result(conn)
        .await?;
        if !now.admitted {
            if !ask.at_once && now.booting + now.ahead >= ask.slots {
                return Ok(Admission::Waits { booting: now.booting, ahead: now.ahead });
            }
            diesel::update(boots::table.find(lease.job))
                .set(boots::admitted_at.eq(diesel::dsl::now))
                .execute(conn)
                .await?;
        }
        Ok(Admission::Admitted)
    })
    .await
}

/// Frees a job's slot.
pub async fn leave(conn: &mut Conn, lease: &Lease) -> Result<(), LeaseError> {
    lease::fenced::<_, LeaseError>(conn, lease, async |conn| {
        diesel::delete(boots::table.find(lease.job)).execute(conn).await?;
        Ok(())
    })
    .await
}

/// How many gateways boot now, including those that take longer than usual.
pub async fn count(conn: &mut Conn) -> Result<i64, super::DbError> {
    #[derive(QueryableByName)]
    struct Booting {
        #[diesel(sql_type = sql_types::Int8)]
        booting: i64,
    }
    let found: Booting = diesel::sql_query(
        "SELECT (SELECT count(*) FROM boots JOIN jobs ON jobs.id = boots.job_id AND jobs.attempt = boots.attempt \
                 WHERE jobs.status = 'running' AND admitted_at IS NOT NULL) + \
           (SELECT count(*) FROM instances WHERE status = 'starting' \
             AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.instance_id = instances.id \
               AND jobs.status IN ('queued', 'running'))) AS booting",
    )
    .get_result(conn)
    .await?;
    Ok(found.booting)
}
