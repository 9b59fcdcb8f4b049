//! Rollouts: their members, waves and progress.

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
    /// Progress of a rollout on one instance.
    MemberStatus {
        Waiting = "waiting",
        Updating = "updating",
        Updated = "updated",
        Failed = "failed",
        /// Not touched: it is gone, something else was under way, or the rollout ended before its turn.
        Skipped = "skipped",
    } else Unknown
);

text_enum!(
    /// What prevented the update of an instance.
    MemberFault {
        /// The image: the gateway came up again with the old one.
        Image = "image",
        /// The instance: its gateway does not come up with the old image either.
        Instance = "instance",
        /// Neither: the update failed for another reason.
        Platform = "platform",
    }
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
    /// The cause, if it failed.
    pub fault: Option<MemberFault>,
    /// Whether its gateway answered when its turn came. Of one that did not, the update says nothing about the image.
    pub ran: bool,
}

/// Divides the instances that do not run the image into waves: one, then a tenth, then the rest, and last those in
/// trouble, that is, whose last update in a rollout failed or whose gateway does not answer although it should. Within
/// a wave, everybody's first instance comes before anybody's second, so that one owner does not decide for all.
/// `exclude` are left as they are. Instances with a stuck change are included whatever their image, so that the report
/// lists them. A rollout that already has members keeps them.
pub async fn plan(conn: &mut Conn, job: JobId, image_id: &str, exclude: &[InstanceId]) -> Result<(), DbError> {
    diesel::sql_query(
        "INSERT INTO rollout_members (job_id, instance_id, wave, status, error_message) \
         SELECT $1, id, CASE WHEN troubled OR excluded THEN 3 WHEN nth = 1 THEN 0 WHEN nth <= 1 + ceil(total / 10.0) THEN 1 ELSE 2 END, \
           CASE WHEN excluded THEN 'skipped' ELSE 'waiting' END, \
           CASE WHEN excluded THEN 'It was excluded from this rollout.' END \
         FROM (SELECT id, troubled, excluded, \
                 row_number() OVER (PARTITION BY troubled OR excluded ORDER BY status <> 'running', nth_of_owner, created_at, id) AS nth, \
                 count(*) OVER (PARTITION BY troubled OR excluded) AS total \
               FROM (SELECT *, row_number() OVER (PARTITION BY owner_id, troubled OR excluded ORDER BY status <> 'running', created_at, id) AS nth_of_owner \
                     FROM (SELECT id, owner_id, status, created_at, id = ANY ($3) AS excluded, \
                             (desired_state = 'running' AND status <> 'running') OR status = 'error' OR coalesce( \
                               (SELECT last.status = 'failed' FROM rollout_members AS last \
                                WHERE last.instance_id = instances.id AND last.status IN ('updated', 'failed') \
                                ORDER BY last.job_id DESC LIMIT 1), false) AS troubled \
                           FROM instances \
                           WHERE desired_state <> 'deleted' AND ( \
                             status IN ('running', 'stopped', 'starting', 'error') AND container_id IS NOT NULL \
                               AND image_id IS DISTINCT FROM $2 \
                             OR EXISTS (SELECT 1 FROM snapshots AS s WHERE s.instance_id = instances.id AND s.stuck_at IS NOT NULL))) AS chosen) AS counted) AS planned \
         WHERE NOT EXISTS (SELECT 1 FROM rollout_members WHERE job_id = $1) \
         ON CONFLICT DO NOTHING",
    )
    .bind::<sql_types::Uuid, _>(job)
    .bind::<sql_types::Text, _>(image_id)
    .bind::<sql_types::Array<sql_types::Text>, _>(exclude)
    .execute(conn)
    .await?;
    Ok(())
}

/// What the ended members say about the image and the platform.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, QueryableByName)]
pub struct Tally {
    /// Members that ran and were updated.
    #[diesel(sql_type = sql_types::Int8)]
    pub proved: i64,
    #[diesel(sql_type = sql_types::Int8)]
    pub failed_by_image: i64,
    /// Owners of these instances.
    #[diesel(sql_type = sql_types::Int8)]
    pub owners_failed_by_image: i64,
    #[diesel(sql_type = sql_types::Int8)]
    pub failed_by_platform: i64,
    #[diesel(sql_type = sql_types::Int8)]
    pub owners_failed_by_platform: i64,
    /// Owners of instances in the rollout.
    #[diesel(sql_type = sql_types::Int8)]
    pub owners: i64,
    /// Members that failed and could not be rolled back.
    #[diesel(sql_type = sql_types::Int8)]
    pub stuck: i64,
}

/// Counts the members of a rollout that have ended.
pub async fn tally(conn: &mut Conn, job: JobId) -> Result<Tally, DbError> {
    Ok(diesel::sql_query(
        "SELECT count(*) FILTER (WHERE m.status = 'updated' AND ran) AS proved, \
           count(*) FILTER (WHERE m.status = 'failed' AND fault = 'image') AS failed_by_image, \
           count(DISTINCT owner_id) FILTER (WHERE m.status = 'failed' AND fault = 'image') AS owners_failed_by_image, \
           count(*) FILTER (WHERE m.status = 'failed' AND fault = 'platform') AS failed_by_platform, \
           count(DISTINCT owner_id) FILTER (WHERE m.status = 'failed' AND fault = 'platform') AS owners_failed_by_platform, \
           count(DISTINCT owner_id) AS owners, \
           count(*) FILTER (WHERE m.status = 'failed' AND EXISTS ( \
             SELECT 1 FROM snapshots AS s WHERE s.job_id = m.update_job_id AND s.stuck_at IS NOT NULL)) AS stuck \
         FROM rollout_members AS m LEFT JOIN instances AS i ON i.id = m.instance_id WHERE job_id = $1",
    )
    .bind::<sql_types::Uuid, _>(job)
    .get_result(conn)
    .await?)
}

/// The members of a rollout, by wave.
pub async fn members(conn: &mut Conn, job: JobId) -> Result<Vec<Member>, DbError> {
    Ok(rollout_members::table
        .filter(rollout_members::job_id.eq(job))
        .order((rollout_members::wave, rollout_members::instance_id))
        .select(Member::as_select())
        .load(conn)
        .await?)
}

/// Records the job that updates a member, and whether its gateway answered before.
pub async fn begin(
    conn: &mut Conn,
    job: JobId,
    instance: &InstanceId,
    update: JobId,
    ran: bool,
) -> Result<(), DbError> {
    diesel::update(rollout_members::table.find((job, instance)))
        .set((
            rollout_members::status.eq(MemberStatus::Updating),
            rollout_members::update_job_id.eq(update),
            rollout_members::ran.eq(ran),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Records the result for a member.
pub async fn end(
    conn: &mut Conn,
    job: JobId,
    instance: &InstanceId,
    status: MemberStatus,
    message: Option<&str>,
    fault: Option<MemberFault>,
) -> Result<(), DbError> {
    diesel::update(rollout_members::table.find((job, instance)))
        .set((
            rollout_members::status.eq(status),
            rollout_members::error_message.eq(message),
            rollout_members::fault.eq(fault),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Marks the waiting members as skipped.
pub async fn skip_waiting(conn: &mut Conn, job: JobId, message: &str) -> Result<(), DbError> {
    let waiting = rollout_members::job_id.eq(job).and(rollout_members::status.eq(MemberStatus::Waiting));
    diesel::update(rollout_members::table.filter(waiting))
        .set((rollout_members::status.eq(MemberStatus::Skipped), rollout_members::error_message.eq(message)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes members wait again that were not updated, for a retry of the rollout. Failed ones go last, or the same few
/// would stop it again. Excluded ones stay excluded.
pub async fn reset(conn: &mut Conn, job: JobId, exclude: &[InstanceId]) -> Result<(), DbError> {
    diesel::sql_query(
        "UPDATE rollout_members SET status = 'waiting', update_job_id = NULL, error_message = NULL, fault = NULL, ran = false, \
           wave = CASE WHEN status = 'failed' THEN (SELECT max(wave) FROM rollout_members WHERE job_id = $1) + 1 ELSE wave END \
         WHERE job_id = $1 AND status IN ('failed', 'skipped') AND instance_id <> ALL ($2)",
    )
    .bind::<sql_types::Uuid, _>(job)
    .bind::<sql_types::Array<sql_types::Text>, _>(exclude)
    .execute(conn)
    .await?;
    Ok(())
}
