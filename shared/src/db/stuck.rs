//! Instances without a job that should have one.

use std::time::Duration;

use diesel::{
    QueryableByName,
    dsl::{exists, not, sql},
    prelude::*,
    sql_types::{Bool, Float8, Int4, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use super::{
    Conn, DbError,
    instance::Instance,
    job,
    schema::{instances, jobs},
};
use crate::{
    ids::InstanceId,
    instance::{DesiredState, InstanceStatus},
};

/// Instances without an open job that have been in one of `between` for `age`, or were to be deleted that long ago.
pub async fn list(conn: &mut Conn, between: &[InstanceStatus], age: Duration) -> Result<Vec<Instance>, DbError> {
    let then = || sql::<Timestamptz>("now() - make_interval(secs => ").bind::<Float8, _>(age.as_secs_f64()).sql(")");
    let open = jobs::table.filter(jobs::instance_id.eq(instances::id.nullable())).filter(job::is_open());
    let waits = instances::status.eq_any(between).and(instances::status_changed_at.le(then()));
    let doomed = instances::desired_state.eq(DesiredState::Deleted).and(instances::updated_at.le(then()));
    Ok(instances::table
        .filter(instances::owner_id.is_not_null())
        .filter(waits.or(doomed).and(not(exists(open))))
        .order(instances::id)
        .select(Instance::as_select())
        .load(conn)
        .await?)
}

/// Instances whose gateway an undo left stopped because a delete waited, which was then cancelled: they are to run, and
/// that delete is their last job.
pub async fn left_stopped(conn: &mut Conn) -> Result<Vec<Instance>, DbError> {
    let cancelled = sql::<Bool>(
        "(SELECT kind = 'delete' AND jobs.status = 'cancelled' AND payload @> '{\"leftStopped\": true}' FROM jobs \
          WHERE instance_id = instances.id ORDER BY seq DESC LIMIT 1)",
    );
    Ok(instances::table
        .filter(instances::desired_state.eq(DesiredState::Running))
        .filter(instances::status.eq_any([InstanceStatus::Stopped, InstanceStatus::Error]))
        .filter(cancelled)
        .order(instances::id)
        .select(Instance::as_select())
        .load(conn)
        .await?)
}

/// Recent jobs of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct Lately {
    /// The system queued one.
    #[diesel(sql_type = Bool)]
    pub repaired: bool,
    /// One ended.
    #[diesel(sql_type = Bool)]
    pub ended: bool,
    /// The last job of all, however old, crashed its workers.
    #[diesel(sql_type = Bool)]
    pub crashed: bool,
}

/// How many of an instance's jobs [`lately`] reads. Nobody makes as many within a window of some minutes.
const NEWEST: i32 = 200;

/// Reads the jobs of an instance within the last `window`.
pub async fn lately(conn: &mut Conn, instance: &InstanceId, window: Duration) -> Result<Lately, DbError> {
    Ok(diesel::sql_query(
        "SELECT coalesce(bool_or(requested_by IS NULL AND created_at > since AND NOT payload ?| array['asleep', 'woken', 'wasFrozen']), false) \
             AS repaired, \
           coalesce(bool_or(finished_at > since), false) AS ended, \
           coalesce((array_agg(error_code ORDER BY seq DESC))[1] = 'worker_crashed', false) AS crashed \
         FROM (SELECT * FROM jobs WHERE instance_id = $1 ORDER BY seq DESC LIMIT $3) AS newest, \
           (SELECT now() - make_interval(secs => $2) AS since) AS lately",
    )
    .bind::<Text, _>(instance)
    .bind::<Float8, _>(window.as_secs_f64())
    .bind::<Int4, _>(NEWEST)
    .get_result(conn)
    .await?)
}
