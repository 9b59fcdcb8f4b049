//! Sleep of instances: which are to be looked at, how one falls asleep, and how it wakes.
//!
//! An instance that sleeps is stopped, and wants to be: nothing else needs to know of it. [`is_asleep`] tells it from one
//! that a person stopped. It falls asleep and wakes by jobs of the kinds `stop` and `start`, which every worker knows. For
//! a while its gateway may be only [`frozen`](super::frozen).

use chrono::{DateTime, Utc};
use diesel::{
    dsl::now,
    prelude::*,
    sql_types::{Float8, Int4, Int8, Nullable, Text},
};
use diesel_async::{AsyncConnection as _, RunQueryDsl};
use serde_json::json;

use super::{
    Conn, DbError, Scope,
    frozen::SUSPENSION,
    host,
    instance::{self, Instance},
    job::{self, DESIRED_BEFORE, Job, NewJob},
    schema::{instances, jobs, terminals},
    version_policy,
};
use crate::{
    capacity::CapacityArgs,
    ids::{InstanceId, JobId, UserId},
    instance::{DesiredState, InstanceStatus},
    job::{JobKind, JobStatus},
    sleep::{SleepArgs, WokenBy},
};

/// In the payload of the job that stops an instance because it is idle.
pub const ASLEEP: &str = "asleep";

/// In the payload of the job that wakes an instance: a [`WokenBy`].
pub const WOKEN: &str = "woken";

/// How long after it was queued a job may still put an instance to sleep, in seconds. OpenClaw's suspension lasts two
/// minutes; from then on the gateway may be at work again.
const IN_TIME: f64 = 90.0;

/// An instance to be looked at.
#[derive(Debug, Clone, QueryableByName)]
pub struct Due {
    #[diesel(sql_type = Text)]
    pub id: InstanceId,
    /// How long it has been idle since it was started, in seconds. `None`: when it was last looked at, it was not.
    #[diesel(sql_type = Nullable<Float8>)]
    pub idle_seconds: Option<f64>,
    /// After how many idle minutes it falls asleep.
    #[diesel(sql_type = Int4)]
    pub minutes: i32,
}

/// Takes some running instances that are to be looked at: each four times within its minutes, and at least every five
/// minutes. No other worker takes them until they are due again. Only of the first few hundred it asks whether a job is
/// open: with ten thousand, that took most of the time.
pub async fn take_due(conn: &mut Conn, args: SleepArgs, limit: i64) -> Result<Vec<Due>, DbError> {
    Ok(diesel::sql_query(
        "WITH ripe AS (SELECT i.id, coalesce(i.sleep_minutes, $1) AS minutes, c.checked_at \
             FROM instances i LEFT JOIN idle_checks c ON c.instance_id = i.id \
             WHERE i.status = 'running' AND i.desired_state = 'running' \
               AND coalesce(i.sleep_minutes, CASE WHEN i.channel = 'none' THEN $1 ELSE 0 END) > 0 \
               AND coalesce(c.checked_at, '-infinity') < now() - make_interval(secs => least(300, 15 * coalesce(i.sleep_minutes, $1))) \
             ORDER BY c.checked_at NULLS FIRST LIMIT 4 * $2), \
           due AS (SELECT i.id, ripe.minutes, i.status_changed_at FROM ripe JOIN instances i ON i.id = ripe.id \
             WHERE i.status = 'running' AND i.desired_state = 'running' \
               AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.instance_id = i.id AND jobs.status IN ('queued', 'running')) \
             ORDER BY ripe.checked_at NULLS FIRST LIMIT $2 FOR NO KEY UPDATE OF i SKIP LOCKED), \
           taken AS (INSERT INTO idle_checks (instance_id) SELECT id FROM due \
             ON CONFLICT (instance_id) DO UPDATE SET checked_at = now() RETURNING instance_id, idle_since) \
         SELECT due.id, due.minutes, CASE WHEN taken.idle_since IS NOT NULL \
           THEN extract(epoch FROM now() - greatest(taken.idle_since, due.status_changed_at))::float8 END AS idle_seconds \
         FROM due JOIN taken ON taken.instance_id = due.id",
    )
    .bind::<Int4, _>(i32::from(args.sleep_minutes))
    .bind::<Int8, _>(limit)
    .load(conn)
    .await?)
}

/// Records that a look found the instance idle, or not.
pub async fn note_idle(conn: &mut Conn, id: &InstanceId, idle: bool) -> Result<(), DbError> {
    let sql = if idle {
        "UPDATE idle_checks SET idle_since = coalesce(idle_since, now()) WHERE instance_id = $1"
    } else {
        "UPDATE idle_checks SET idle_since = NULL WHERE instance_id = $1 AND idle_since IS NOT NULL"
    };
    diesel::sql_query(sql).bind::<Text, _>(id.as_str()).execute(conn).await?;
    Ok(())
}

/// Whether somebody has a terminal open in the instance.
pub async fn has_terminal(conn: &mut Conn, id: &InstanceId) -> Result<bool, DbError> {
    let open = terminals::table.filter(terminals::instance_id.eq(id)).filter(terminals::ended_at.is_null());
    Ok(diesel::select(diesel::dsl::exists(open)).get_result(conn).await?)
}

/// Lets a running instance fall asleep until somebody needs it, or until `wake_at`. With the id of its `suspension` its
/// gateway is only frozen. `None`: something has happened in the meantime, so it stays awake.
pub async fn fall_asleep(
    conn: &mut Conn,
    id: &InstanceId,
    wake_at: Option<DateTime<Utc>>,
    suspension: Option<&str>,
) -> Result<Option<Job>, DbError> {
    conn.transaction::<_, DbError, _>(async |conn| {
        let Some(found) = instance::find_for_update(conn, Scope::Everything, id).await? else { return Ok(None) };
        let runs = found.status == InstanceStatus::Running && found.desired_state == DesiredState::Running;
        if !runs || !job::open_on(conn, id).await?.is_empty() || has_terminal(conn, id).await? {
            return Ok(None);
        }
        diesel::update(instances::table.find(id))
            .set((
                instances::desired_state.eq(DesiredState::Stopped),
                instances::asleep_since.eq(now),
                instances::wake_at.eq(wake_at),
                instances::updated_at.eq(now),
            ))
            .execute(conn)
            .await?;
        // When it wakes, its minutes begin anew.
        note_idle(conn, id, false).await?;
        let mut payload = json!({ ASLEEP: true, DESIRED_BEFORE: DesiredState::Running });
        if let Some(suspension) = suspension {
            payload[SUSPENSION] = suspension.into();
        }
        let stop = NewJob { payload, ..NewJob::on_instance(JobKind::Stop, id, found.owner_id) };
        Ok(Some(job::insert(conn, &stop).await?))
    })
    .await
}

/// Whether a job puts its instance to sleep.
pub fn falls_asleep(job: &Job) -> bool {
    job.payload[ASLEEP] == true
}

/// Records that an instance could not be put to sleep, unless somebody has wanted another state since.
pub async fn stay_awake(conn: &mut Conn, id: &InstanceId) -> Result<(), DbError> {
    diesel::sql_query(
        "UPDATE instances SET desired_state = 'running', asleep_since = NULL, wake_at = NULL, updated_at = now() \
         WHERE id = $1 AND asleep_since IS NOT NULL AND desired_state = 'stopped'",
    )
    .bind::<Text, _>(id)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether an instance sleeps, or is falling asleep.
pub fn is_asleep(instance: &Instance) -> bool {
    instance.asleep_since.is_some() && instance.desired_state == DesiredState::Stopped
}

/// What became of an attempt to wake an instance.
#[derive(Debug, Clone)]
pub enum Waking {
    /// This job wakes it.
    Begun(Box<Job>),
    /// This job has to end first: it may wake the instance, or be what lets it fall asleep.
    Underway(Box<Job>),
    /// It does not sleep.
    NotAsleep,
    /// Its version of OpenClaw is vulnerable and may not be started.
    Vulnerable,
    /// The host has no memory left for it.
    Full { free_mb: i64, memory_mb: i32 },
}

/// Who or what wakes an instance.
#[derive(Debug, Clone, Copy)]
pub struct Waker<'a> {
    pub by: WokenBy,
    /// `None`: nobody who is signed in.
    pub person: Option<UserId>,
    pub request_id: Option<&'a str>,
}

/// Wakes an instance if it sleeps. Runs in the caller's transaction.
pub async fn wake(
    conn: &mut Conn,
    id: &InstanceId,
    waker: Waker<'_>,
    capacity: &CapacityArgs,
) -> Result<Waking, DbError> {
    let Some(found) = instance::find_for_update(conn, Scope::Everything, id).await? else {
        return Ok(Waking::NotAsleep);
    };
    if let Some(open) = job::open_on(conn, id).await?.into_iter().next() {
        let underway = is_asleep(&found) || found.woken_at.is_some_and(|at| at >= open.created_at);
        return Ok(if underway { Waking::Underway(Box::new(open)) } else { Waking::NotAsleep });
    }
    if !is_asleep(&found) || found.status != InstanceStatus::Stopped {
        return Ok(Waking::NotAsleep);
    }
    if version_policy::get(conn).await?.refuses(found.openclaw_version.as_deref()) {
        return Ok(Waking::Vulnerable);
    }
    // Settings of a newer version are at least as much as those that this one can read.
    let memory_mb = found.wanted_settings().map_or(found.memory_mb, |wanted| wanted.memory_mb);
    if let Some(free_mb) = host::lacks(conn, capacity, memory_mb, Some(id)).await? {
        return Ok(Waking::Full { free_mb, memory_mb });
    }
    instance::set_desired_state(conn, id, DesiredState::Running).await?;
    note_woken(conn, id, waker.by).await?;
    let (kind, payload) = match found.pending_settings {
        // They need a new container.
        Some(_) => (JobKind::ApplySettings, json!({ "start": true, WOKEN: waker.by })),
        None => (JobKind::Start, json!({ WOKEN: waker.by })),
    };
    let start = NewJob {
        requested_by: waker.person,
        request_id: waker.request_id,
        payload,
        ..NewJob::on_instance(kind, id, found.owner_id)
    };
    Ok(Waking::Begun(Box::new(job::insert(conn, &start).await?)))
}

/// Whether somebody waits for this job: a person requested it, or it wakes an instance for somebody.
pub fn is_awaited(job: &Job) -> bool {
    let woken_by: Option<WokenBy> = job.payload[WOKEN].as_str().and_then(|by| by.parse().ok());
    job.requested_by.is_some() || woken_by.is_some_and(|by| by != WokenBy::Schedule)
}

/// Records what woke an instance.
pub async fn note_woken(conn: &mut Conn, id: &InstanceId, by: WokenBy) -> Result<(), DbError> {
    diesel::update(instances::table.find(id))
        .set((instances::woken_at.eq(now), instances::woken_by.eq(by.as_str())))
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Sleeping {
    #[diesel(sql_type = Text)]
    id: InstanceId,
}

/// Sleeping instances whose schedule is due within `seconds`, the most urgent first.
pub async fn to_wake(conn: &mut Conn, seconds: f64, limit: i64) -> Result<Vec<InstanceId>, DbError> {
    let found: Vec<Sleeping> = diesel::sql_query(
        "SELECT id FROM instances WHERE wake_at < now() + make_interval(secs => $1) AND status = 'stopped' \
           AND desired_state = 'stopped' AND asleep_since IS NOT NULL \
           AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.instance_id = instances.id AND jobs.status IN ('queued', 'running')) \
         ORDER BY wake_at LIMIT $2",
    )
    .bind::<Float8, _>(seconds)
    .bind::<Int8, _>(limit)
    .load(conn)
    .await?;
    Ok(found.into_iter().map(|found| found.id).collect())
}

/// Lets a sleeping instance whose schedule could not wake it be tried again later, after the others.
pub async fn postpone(conn: &mut Conn, id: &InstanceId, seconds: f64) -> Result<(), DbError> {
    let sql =
        "UPDATE instances SET wake_at = now() + make_interval(secs => $2) WHERE id = $1 AND asleep_since IS NOT NULL";
    diesel::sql_query(sql).bind::<Text, _>(id.as_str()).bind::<Float8, _>(seconds).execute(conn).await?;
    Ok(())
}

/// Keeps instances awake whose job to fall asleep was not begun in time: their gateways may be at work again. Returns
/// how many.
pub async fn withdraw_late(conn: &mut Conn) -> Result<usize, DbError> {
    let late: Vec<Late> = diesel::sql_query(
        "SELECT id FROM jobs WHERE status = 'queued' AND kind = 'stop' AND attempt = 0 AND payload ? $1 \
           AND created_at < now() - make_interval(secs => $2) LIMIT 100",
    )
    .bind::<Text, _>(ASLEEP)
    .bind::<Float8, _>(IN_TIME)
    .load(conn)
    .await?;
    let mut withdrawn = 0;
    for Late { id } in late {
        withdrawn += usize::from(withdraw(conn, id).await?);
    }
    Ok(withdrawn)
}

#[derive(QueryableByName)]
struct Late {
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    id: JobId,
}

/// Cancels a job to fall asleep that nobody has claimed. False: somebody has.
async fn withdraw(conn: &mut Conn, id: JobId) -> Result<bool, DbError> {
    conn.transaction::<_, DbError, _>(async |conn| {
        let job = job::find_for_update(conn, id).await?;
        let Some(job) = job.filter(|job| job.status == JobStatus::Queued && job.attempt == 0) else {
            return Ok(false);
        };
        job::request_cancel(conn, id).await?;
        let Some(instance) = &job.instance_id else { return Ok(true) };
        let found = instance::find_for_update(conn, Scope::Everything, instance).await?;
        if found.is_some_and(|found| is_asleep(&found)) {
            instance::set_desired_state(conn, instance, DesiredState::Running).await?;
        }
        Ok(true)
    })
    .await
}

/// The last job that stopped an instance.
pub async fn last_stop(conn: &mut Conn, id: &InstanceId) -> Result<Option<Job>, DbError> {
    let stops = jobs::table.filter(jobs::instance_id.eq(id)).filter(jobs::kind.eq(JobKind::Stop));
    Ok(stops.order(jobs::seq.desc()).select(Job::as_select()).first(conn).await.optional()?)
}

/// Sets after how many idle minutes an instance falls asleep.
pub async fn set_minutes(conn: &mut Conn, id: &InstanceId, minutes: Option<i32>) -> Result<Instance, DbError> {
    Ok(diesel::update(instances::table.find(id))
        .set((instances::sleep_minutes.eq(minutes), instances::updated_at.eq(now)))
        .returning(Instance::as_returning())
        .get_result(conn)
        .await?)
}
