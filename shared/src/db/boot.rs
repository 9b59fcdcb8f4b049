//! Decides who may boot a gateway. Boots are bound by CPU: many at once are all slow, so boots are admitted in turn,
//! over all workers of the engine.
//!
//! Each admitted job takes a slot, and so does each gateway that boots by itself, as all do after a reboot of the host.
//! A row is valid while that attempt of its job runs, so a lost worker's slot is free once its lease expires. Owners
//! share the slots ([`FairSlots`]), so that one whose gateways hang does not keep the others waiting.
//!
//! Whether a job runs is told by its lease, as in [`lease`], so that it is looked up by its id.

use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncConnection as _, RunQueryDsl};

use super::{
    Conn,
    lease::{self, Lease, LeaseError},
    schema::boots,
};
use crate::{
    fair_slots::FairSlots,
    ids::{JobId, UserId},
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
        booting: usize,
        /// Jobs that wait and come first.
        ahead: usize,
    },
}

/// A request for a slot.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Gateways that may boot at once.
    pub slots: usize,
    /// Nobody waits for the job. Those that somebody waits for go first.
    pub by_system: bool,
    /// Do not wait; only count the boot.
    pub at_once: bool,
}

/// A request in the table.
#[derive(Debug, Clone, Copy, QueryableByName)]
struct Request {
    #[diesel(sql_type = sql_types::Uuid)]
    job_id: JobId,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Uuid>)]
    owner_id: Option<UserId>,
    #[diesel(sql_type = sql_types::Bool)]
    admitted: bool,
    /// It was admitted, and not too long ago.
    #[diesel(sql_type = sql_types::Bool)]
    holds_slot: bool,
}

/// Gateways of an owner that boot without a job.
#[derive(Debug, Clone, Copy, QueryableByName)]
struct ByItself {
    #[diesel(sql_type = sql_types::Uuid)]
    owner_id: UserId,
    #[diesel(sql_type = sql_types::Int8)]
    gateways: i64,
}

/// Requests a slot to boot. A job that has to wait asks again and keeps its turn.
pub async fn ask(conn: &mut Conn, lease: &Lease, ask: Ask) -> Result<Admission, LeaseError> {
    // Not `fenced`: that would lock the job's row, and renewals would wait for other requests.
    conn.transaction::<_, LeaseError, _>(async |conn| {
        diesel::sql_query("SELECT pg_advisory_xact_lock($1)").bind::<sql_types::Int8, _>(LOCK).execute(conn).await?;
        lease::hold(conn, lease).await?;
        diesel::sql_query(
            "DELETE FROM boots WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = boots.job_id \
               AND jobs.lease_until IS NOT NULL AND jobs.attempt = boots.attempt)",
        )
        .execute(conn)
        .await?;
        diesel::insert_into(boots::table)
            .values((boots::job_id.eq(lease.job), boots::attempt.eq(lease.attempt), boots::by_system.eq(ask.by_system)))
            .on_conflict_do_nothing()
            .execute(conn)
            .await?;
        let requests: Vec<Request> = diesel::sql_query(
            "SELECT boots.job_id, jobs.owner_id, admitted_at IS NOT NULL AS admitted, \
               coalesce(admitted_at > now() - make_interval(secs => $1), false) AS holds_slot \
             FROM boots JOIN jobs ON jobs.id = boots.job_id \
             ORDER BY boots.by_system, boots.asked_at, boots.job_id",
        )
        .bind::<sql_types::Float8, _>(SLOT_SECONDS)
        .load(conn)
        .await?;
        if requests.iter().any(|request| request.job_id == lease.job && request.admitted) {
            return Ok(Admission::Admitted);
        }
        if !ask.at_once {
            let by_themselves: Vec<ByItself> = diesel::sql_query(
                "SELECT owner_id, count(*) AS gateways FROM instances WHERE status = 'starting' \
                   AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.instance_id = instances.id \
                     AND jobs.status IN ('queued', 'running')) GROUP BY owner_id",
            )
            .load(conn)
            .await?;
            let admission = decide(ask.slots, &by_themselves, &requests, lease.job);
            if admission != Admission::Admitted {
                return Ok(admission);
            }
        }
        diesel::update(boots::table.find(lease.job)).set(boots::admitted_at.eq(diesel::dsl::now)).execute(conn).await?;
        Ok(Admission::Admitted)
    })
    .await
}

/// Whether `job`, which waits, gets a slot now. `requests` are in their order: what comes before `job` and may have a
/// slot counts as if it had it.
fn decide(slots: usize, by_themselves: &[ByItself], requests: &[Request], job: JobId) -> Admission {
    let mut slots = FairSlots::new(slots);
    for boot in by_themselves {
        (0..boot.gateways).for_each(|_| slots.take(Some(boot.owner_id)));
    }
    for request in requests.iter().filter(|request| request.holds_slot) {
        slots.take(request.owner_id);
    }
    let booting = slots.taken();
    let waiting = requests.iter().filter(|request| !request.admitted);
    let mut ahead = 0;
    for request in waiting {
        let may = slots.may_take(request.owner_id);
        if request.job_id == job {
            return if may { Admission::Admitted } else { Admission::Waits { booting, ahead } };
        }
        if may {
            slots.take(request.owner_id);
        }
        ahead += 1;
    }
    Admission::Waits { booting, ahead }
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
                 WHERE jobs.lease_until IS NOT NULL AND admitted_at IS NOT NULL) + \
           (SELECT count(*) FROM instances WHERE status = 'starting' \
             AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.instance_id = instances.id \
               AND jobs.status IN ('queued', 'running'))) AS booting",
    )
    .get_result(conn)
    .await?;
    Ok(found.booting)
}
