//! Snapshots of instances from before a change of their container, for rolling back.
//!
//! A row is written before anything is touched, so that a later attempt or an undo knows what to restore. The files are
//! in the data directory under the row's id.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{now, sql},
    prelude::*,
    sql_types::{Float8, Int8, Nullable, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use super::{Conn, DbError, instance::InstanceSettings, json, literal::Literal, schema::snapshots};
use crate::{
    ids::{InstanceId, JobId, SnapshotId},
    text_enum,
};

text_enum!(
    /// Why a container is changed.
    ChangeReason {
        Update = "update",
        Rollback = "rollback",
        Settings = "settings",
    } else Unknown
);

text_enum!(
    /// Progress of a change.
    SnapshotStatus {
        /// The job is under way.
        Changing = "changing",
        /// It succeeded, and the snapshot is kept for a rollback.
        Kept = "kept",
        /// Everything is as before, and the snapshot is gone.
        RolledBack = "rolled_back",
    } else Unknown
);

text_enum!(
    /// How the files were kept.
    SnapshotMethod {
        /// The file system shares the blocks until one side writes.
        Reflink = "reflink",
        Copy = "copy",
    } else Unknown
);

/// A change of a container, with its snapshot.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = snapshots, check_for_backend(diesel::pg::Pg))]
pub struct Snapshot {
    pub id: SnapshotId,
    pub instance_id: InstanceId,
    pub job_id: JobId,
    pub reason: ChangeReason,
    pub status: SnapshotStatus,
    /// Whether the gateway must run after the change.
    pub was_running: bool,
    pub from_image: String,
    pub from_version: Option<String>,
    /// An [`InstanceSettings`].
    pub from_settings: Value,
    pub to_image: String,
    pub to_version: Option<String>,
    /// An [`InstanceSettings`].
    pub to_settings: Value,
    pub files: Option<i64>,
    pub bytes: Option<i64>,
    pub method: Option<SnapshotMethod>,
    pub duration_ms: Option<i64>,
    pub stopped_at: Option<DateTime<Utc>>,
    pub down_ms: Option<i64>,
    pub expires_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// Whether the gateway must run after an undo. `None`: as after the change.
    pub ran_before: Option<bool>,
    /// When the files were restored.
    pub restored_at: Option<DateTime<Utc>>,
    /// When the undo was given up.
    pub stuck_at: Option<DateTime<Utc>>,
}

/// The states before and after a change.
#[derive(Debug)]
pub struct NewSnapshot<'a> {
    pub instance: &'a InstanceId,
    pub job: JobId,
    pub reason: ChangeReason,
    /// Whether the gateway must run after an undo.
    pub ran_before: bool,
    /// Whether the gateway must run after the change.
    pub runs_after: bool,
    pub from: ContainerSource<'a>,
    pub to: ContainerSource<'a>,
}

/// What a container is made from.
#[derive(Debug, Clone, Copy)]
pub struct ContainerSource<'a> {
    /// Docker's id of the image.
    pub image: &'a str,
    /// Version of OpenClaw in it.
    pub version: Option<&'a str>,
    pub settings: &'a InstanceSettings,
}

impl Snapshot {
    pub fn from_settings(&self) -> Result<InstanceSettings, serde_json::Error> {
        serde_json::from_value(self.from_settings.clone())
    }

    /// Whether the snapshot can be deleted without loss: the files were restored, or the copy was never completed.
    /// Nothing is changed before it is, so there is nothing to restore then.
    pub fn is_spent(&self) -> bool {
        self.restored_at.is_some() || self.files.is_none()
    }

    pub fn to_settings(&self) -> Result<InstanceSettings, serde_json::Error> {
        serde_json::from_value(self.to_settings.clone())
    }
}

/// Records whether the gateway answered again after a change was undone.
pub async fn note_came_back(conn: &mut Conn, job: JobId, came_back: bool) -> Result<(), DbError> {
    diesel::update(snapshots::table.filter(snapshots::job_id.eq(job)))
        .set(snapshots::came_back.eq(came_back))
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether the gateway answered again after a job's change was undone. `None`: it was not started.
pub async fn came_back(conn: &mut Conn, job: JobId) -> Result<Option<bool>, DbError> {
    let row: Option<Option<bool>> =
        snapshots::table.filter(snapshots::job_id.eq(job)).select(snapshots::came_back).first(conn).await.optional()?;
    Ok(row.flatten())
}

/// Begins a change. An existing row of the job stays as it is, because it holds the state from before the change.
pub async fn begin(conn: &mut Conn, new: &NewSnapshot<'_>) -> Result<(), DbError> {
    diesel::insert_into(snapshots::table)
        .values((
            snapshots::id.eq(SnapshotId::generate()),
            snapshots::instance_id.eq(new.instance),
            snapshots::job_id.eq(new.job),
            snapshots::reason.eq(new.reason),
            snapshots::status.eq(SnapshotStatus::Changing),
            snapshots::was_running.eq(new.runs_after),
            snapshots::ran_before.eq(new.ran_before),
            snapshots::from_image.eq(new.from.image),
            snapshots::from_version.eq(new.from.version),
            snapshots::from_settings.eq(json(new.from.settings)?),
            snapshots::to_image.eq(new.to.image),
            snapshots::to_version.eq(new.to.version),
            snapshots::to_settings.eq(json(new.to.settings)?),
        ))
        .on_conflict(snapshots::job_id)
        .do_nothing()
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes a change of which nothing is left.
pub async fn forget(conn: &mut Conn, job: JobId) -> Result<(), DbError> {
    diesel::delete(snapshots::table.filter(snapshots::job_id.eq(job))).execute(conn).await?;
    Ok(())
}

/// The change that a job makes.
pub async fn of_job(conn: &mut Conn, job: JobId) -> Result<Option<Snapshot>, DbError> {
    Ok(snapshots::table.filter(snapshots::job_id.eq(job)).select(Snapshot::as_select()).first(conn).await.optional()?)
}

/// The newest unexpired snapshot of an instance.
pub async fn latest_kept(conn: &mut Conn, instance: &InstanceId) -> Result<Option<Snapshot>, DbError> {
    Ok(snapshots::table
        .filter(snapshots::instance_id.eq(instance).and(snapshots::status.eq(SnapshotStatus::Kept)))
        .filter(snapshots::expires_at.gt(now))
        .order(snapshots::created_at.desc())
        .select(Snapshot::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// A kept snapshot by its id, expired or not.
pub async fn find_kept(conn: &mut Conn, id: SnapshotId) -> Result<Option<Snapshot>, DbError> {
    Ok(snapshots::table
        .filter(snapshots::id.eq(id).and(snapshots::status.eq(SnapshotStatus::Kept)))
        .select(Snapshot::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Records that the gateway is down from now on. The first time counts.
pub async fn note_stopped(conn: &mut Conn, job: JobId) -> Result<(), DbError> {
    diesel::update(snapshots::table.filter(snapshots::job_id.eq(job).and(snapshots::stopped_at.is_null())))
        .set(snapshots::stopped_at.eq(now))
        .execute(conn)
        .await?;
    Ok(())
}

/// Size and cost of a file snapshot.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    pub files: i64,
    pub bytes: i64,
    pub method: SnapshotMethod,
    pub duration_ms: i64,
}

/// Records that the snapshot of the files is complete.
pub async fn note_taken(conn: &mut Conn, job: JobId, taken: Taken) -> Result<(), DbError> {
    diesel::update(snapshots::table.filter(snapshots::job_id.eq(job)))
        .set((
            snapshots::files.eq(taken.files),
            snapshots::bytes.eq(taken.bytes),
            snapshots::method.eq(taken.method),
            snapshots::duration_ms.eq(taken.duration_ms),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends the change and keeps its snapshot for `window`. Returns for how many milliseconds the gateway was down.
pub async fn keep(conn: &mut Conn, job: JobId, window: std::time::Duration) -> Result<Option<i64>, DbError> {
    let down: Option<Option<i64>> =
        diesel::update(snapshots::table.filter(snapshots::job_id.eq(job)))
            .set((
                snapshots::status.eq(SnapshotStatus::Kept),
                snapshots::down_ms.eq(sql::<Nullable<Int8>>(
                    "coalesce(down_ms, CASE WHEN was_running THEN (extract(epoch FROM now() - stopped_at) * 1000)::bigint END)",
                )),
                snapshots::expires_at.eq(sql::<Nullable<Timestamptz>>("now() + make_interval(secs => ")
                    .bind::<Float8, _>(window.as_secs_f64())
                    .sql(")")),
            ))
            .returning(snapshots::down_ms)
            .get_result(conn)
            .await
            .optional()?;
    Ok(down.flatten())
}

/// Opens a finished change again, to be undone with its snapshot. False: it was not finished.
pub async fn reopen(conn: &mut Conn, job: JobId) -> Result<bool, DbError> {
    let kept = snapshots::job_id.eq(job).and(snapshots::status.eq(SnapshotStatus::Kept));
    let reopened = diesel::update(snapshots::table.filter(kept))
        .set((
            snapshots::status.eq(SnapshotStatus::Changing),
            snapshots::down_ms.eq(None::<i64>),
            snapshots::expires_at.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)
        .await?;
    Ok(reopened > 0)
}

/// Records that the files were restored. The first time counts.
pub async fn note_restored(conn: &mut Conn, job: JobId) -> Result<(), DbError> {
    diesel::update(snapshots::table.filter(snapshots::job_id.eq(job).and(snapshots::restored_at.is_null())))
        .set(snapshots::restored_at.eq(now))
        .execute(conn)
        .await?;
    Ok(())
}

/// Records that everything is as before the job.
pub async fn note_rolled_back(conn: &mut Conn, job: JobId) -> Result<(), DbError> {
    diesel::update(snapshots::table.filter(snapshots::job_id.eq(job)))
        .set((snapshots::status.eq(SnapshotStatus::RolledBack), snapshots::stuck_at.eq(None::<DateTime<Utc>>)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Records that the undo was given up. The snapshot stays. False: the job had changed nothing yet.
pub async fn note_stuck(conn: &mut Conn, job: JobId) -> Result<bool, DbError> {
    let under_way = snapshots::job_id.eq(job).and(snapshots::status.eq(SnapshotStatus::Changing));
    let stuck =
        diesel::update(snapshots::table.filter(under_way)).set(snapshots::stuck_at.eq(now)).execute(conn).await?;
    Ok(stuck > 0)
}

/// Whether a job's change is neither kept nor undone yet.
pub async fn is_under_way(conn: &mut Conn, job: JobId) -> Result<bool, DbError> {
    let under_way =
        snapshots::table.filter(snapshots::job_id.eq(job).and(snapshots::status.eq(SnapshotStatus::Changing)));
    Ok(diesel::select(diesel::dsl::exists(under_way)).get_result(conn).await?)
}

/// The change of an instance whose undo was given up, if any.
pub async fn stuck_on(conn: &mut Conn, instance: &InstanceId) -> Result<Option<Snapshot>, DbError> {
    Ok(snapshots::table
        .filter(snapshots::instance_id.eq(instance).and(snapshots::stuck_at.is_not_null()))
        .select(Snapshot::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// The changes of an instance, newest first.
pub async fn list(conn: &mut Conn, instance: &InstanceId, limit: i64) -> Result<Vec<Snapshot>, DbError> {
    Ok(snapshots::table
        .filter(snapshots::instance_id.eq(instance))
        .order(snapshots::created_at.desc())
        .limit(limit)
        .select(Snapshot::as_select())
        .load(conn)
        .await?)
}

/// Snapshots whose files are still needed: those of changes under way or stuck, and the newest unexpired one of each
/// instance.
pub async fn needed(conn: &mut Conn) -> Result<Vec<(SnapshotId, InstanceId)>, DbError> {
    let changing: Vec<(SnapshotId, InstanceId)> = snapshots::table
        .filter(Literal::new("(snapshots.status = 'changing')"))
        .select((snapshots::id, snapshots::instance_id))
        .load(conn)
        .await?;
    let kept: Vec<(SnapshotId, InstanceId)> = snapshots::table
        .filter(Literal::new("(snapshots.status = 'kept')").and(snapshots::expires_at.gt(now)))
        .distinct_on(snapshots::instance_id)
        .order((snapshots::instance_id, snapshots::created_at.desc()))
        .select((snapshots::id, snapshots::instance_id))
        .load(conn)
        .await?;
    Ok(changing.into_iter().chain(kept).collect())
}

/// Those of these snapshots that have a row.
pub async fn known(conn: &mut Conn, ids: &[SnapshotId]) -> Result<std::collections::HashSet<SnapshotId>, DbError> {
    let rows: Vec<SnapshotId> =
        snapshots::table.filter(snapshots::id.eq_any(ids)).select(snapshots::id).load(conn).await?;
    Ok(rows.into_iter().collect())
}

/// Images that the snapshots of [`needed`] refer to.
pub async fn images_in_use(conn: &mut Conn) -> Result<Vec<String>, DbError> {
    let alive: Vec<SnapshotId> = needed(conn).await?.into_iter().map(|(id, _)| id).collect();
    let images: Vec<(String, String)> = snapshots::table
        .filter(snapshots::id.eq_any(alive))
        .select((snapshots::from_image, snapshots::to_image))
        .distinct()
        .load(conn)
        .await?;
    Ok(images.into_iter().flat_map(|(from, to)| [from, to]).collect())
}
