//! Updates of everything: whom each is about, in which wave, and how far it is.

use diesel::{prelude::*, sql_types};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Conn, DbError, schema::rollout_members};
use crate::{
    ids::{InstanceId, JobId},
    text_enum,
};

text_enum!(
    /// How far a rollout is with one instance.
    MemberStatus {
        Waiting = "waiting",
        Updating = "updating",
        Updated = "updated",
        Failed = "failed",
        /// Not touched: it is gone, something else was under way, or the rollout ended before its turn.
        Skipped = "skipped",
    } else Unknown
);

/// An instance in a rollout.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = rollout_members, check_for_backend(diesel::pg::Pg))]
#[serde(rename_all = "camelCase")]
pub struct Member {
    pub instance_id: InstanceId,
    /// Its wave, from 0.
    pub wave: i32,
    pub status: MemberStatus,
    /// The job that updates it.
    pub update_job_id: Option<JobId>,
    /// Why it failed or was skipped.
    pub error_message: Option<String>,
}

/// Puts every instance whose image is another one into waves: one, then a tenth, then the rest, oldest first. A rollout that
/// has members already keeps them.
pub async fn plan(conn: &mut Conn, job: JobId, image_id: &str) -> Result<(), DbError> {
    diesel::sql_query(
        "INSERT INTO rollout_members (job_id, instance_id, wave) \
         SELECT $1, id, CASE WHEN nth = 1 THEN 0 WHEN nth <= 1 + ceil(total / 10.0) THEN 1 ELSE 2 END \
         FROM (SELECT id, row_number() OVER (ORDER BY created_at, id) AS nth, count(*) OVER () AS total FROM instances \
               WHERE desired_state <> 'deleted' AND status IN ('running', 'stopped', 'starting') \
                 AND container_id IS NOT NULL AND image_id IS DISTINCT FROM $2) AS chosen \
         WHERE NOT EXISTS (SELECT 1 FROM rollout_members WHERE job_id = $1) \
         ON CONFLICT DO NOTHING",
    )
    .bind::<sql_types::Uuid, _>(job)
    .bind::<sql_types::Text, _>(image_id)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whom a rollout is about, in the order of their waves.
pub async fn members(conn: &mut Conn, job: JobId) -> Result<Vec<Member>, DbError> {
    Ok(rollout_members::table
        .filter(rollout_members::job_id.eq(job))
        .order((rollout_members::wave, rollout_members::instance_id))
        .select(Member::as_select())
        .load(conn)
        .await?)
}

/// Notes which job updates a member.
pub async fn begin(conn: &mut Conn, job: JobId, instance: &InstanceId, update: JobId) -> Result<(), DbError> {
    diesel::update(rollout_members::table.find((job, instance)))
        .set((rollout_members::status.eq(MemberStatus::Updating), rollout_members::update_job_id.eq(update)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes how it ended with a member.
pub async fn end(
    conn: &mut Conn,
    job: JobId,
    instance: &InstanceId,
    status: MemberStatus,
    message: Option<&str>,
) -> Result<(), DbError> {
    diesel::update(rollout_members::table.find((job, instance)))
        .set((rollout_members::status.eq(status), rollout_members::error_message.eq(message)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Those that were not begun stay as they are.
pub async fn skip_waiting(conn: &mut Conn, job: JobId, message: &str) -> Result<(), DbError> {
    let waiting = rollout_members::job_id.eq(job).and(rollout_members::status.eq(MemberStatus::Waiting));
    diesel::update(rollout_members::table.filter(waiting))
        .set((rollout_members::status.eq(MemberStatus::Skipped), rollout_members::error_message.eq(message)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Those that were not updated have their turn again, when the rollout is tried once more.
pub async fn reset(conn: &mut Conn, job: JobId) -> Result<(), DbError> {
    let left = rollout_members::status.eq_any([MemberStatus::Failed, MemberStatus::Skipped]);
    diesel::update(rollout_members::table.filter(rollout_members::job_id.eq(job).and(left)))
        .set((
            rollout_members::status.eq(MemberStatus::Waiting),
            rollout_members::update_job_id.eq(None::<JobId>),
            rollout_members::error_message.eq(None::<String>),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
