//! What instances were before a change of their container: the way back.
//!
//! A row is written before anything is touched, so that whoever takes the job over, or undoes it, knows what to go back
//! to. The files lie in the data directory under the row's id.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{now, sql},
    prelude::*,
    sql_types::{Float8, Int8, Nullable, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use super::{Conn, DbError, instance::InstanceSettings, json, schema::snapshots};
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
        /// It succeeded, and this is the way back.
        Kept = "kept",
        /// Everything is as before, and nothing is kept.
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

/// A change of a container, and the way back.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = snapshots, check_for_backend(diesel::pg::Pg))]
pub struct Snapshot {
    pub id: SnapshotId,
    pub instance_id: InstanceId,
    pub job_id: JobId,
    pub reason: ChangeReason,
    pub status: SnapshotStatus,
    /// Whether the gateway has to run after the change.
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
    /// Whether the gateway has to run after an undo; `None`: as after the change.
    pub ran_before: Option<bool>,
    /// When the files were put back.
    pub restored_at: Option<DateTime<Utc>>,
    /// When undoing the change was given up.
    pub stuck_at: Option<DateTime<Utc>>,
}

/// From what to what.
#[derive(Debug)]
pub struct NewSnapshot<'a> {
    pub instance: &'a InstanceId,
    pub job: JobId,
    pub reason: ChangeReason,
    /// Whether the gateway has to run after an undo.
    pub ran_before: bool,
    /// Whether it has to run after the change.
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

    /// Whether nothing would be lost with what was kept: the files were put back, or the copy of them was never complete.
    /// Nothing is changed before it is, so there is nothing to put back then.
    pub fn is_spent(&self) -> bool {
        self.restored_at.is_some() || self.files.is_none()
    }

    pub fn to_settings(&self) -> Result<InstanceSettings, serde_json::Error> {
        serde_json::from_value(self.to_settings.clone())
    }
}

/// Notes whether the gateway answered again after a change was undone.
pub async fn note_came_back(conn: &mut Conn, job: JobId, came_back: bool) -> Result<(), DbError> {
    diesel::update(snapshots::table.filter(snapshots::job_id.eq(job)))
        .set(snapshots::came_back.eq(came_back))
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether the gateway answered again after the change of a job was undone; `None`: it was not tried.
pub async fn came_back(conn: &mut Conn, job: JobId) -> Result<Option<bool>, DbError> {
    let row: Option<Option<bool>> =
        snapshots::table.filter(snapshots::job_id.eq(job)).select(snapshots::came_back).first(conn).await.optional()?;
    Ok(row.flatten())
}

/// Begins a change. The row of a job that has begun already stays as it is: what it goes back to was seen before.
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

/// Forgets a change of which nothing is left.
pub async fn forget(conn: &mut Conn, job: JobId) -> Result<(), DbError> {
    diesel::delete(snapshots::table.filter(snapshots::job_id.eq(job))).execute(conn).await?;
    Ok(())
}

/// The change that a job makes.
pub async fn of_job(conn: &mut Conn, job: JobId) -> Result<Option<Snapshot>, DbError> {
    Ok(snapshots::table.filter(snapshots::job_id.eq(job)).select(Snapshot::as_select()).first(conn).await.optional()?)
}

/// The newest way back of an instance that has not expired.
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

/// Notes that the gateway stands still from now on; the first time counts.
pub async fn note_stopped(conn: &mut Conn, job: JobId) -> Result<(), DbError> {
    diesel::update(snapshots::table.filter(snapshots::job_id.eq(job).and(snapshots::stopped_at.is_null())))
        .set(snapshots::stopped_at.eq(now))
        .execute(conn)
        .await?;
    Ok(())
}

/// What a snapshot of the files came to.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    pub files: i64,
    pub bytes: i64,
    pub method: SnapshotMethod,
    pub duration_ms: i64,
}

/// Notes that the files are kept.
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

/// The change is done: its snapshot is the way back for `window`. Answers for how many milliseconds the gateway stood still.
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

/// A change that was done already is to be undone: what was kept is not a way back any more but what is gone back to.
/// False: it was not done.
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

/// Notes that the files were put back; the first time counts.
pub async fn note_restored(conn: &mut Conn, job: JobId) -> Result<(), DbError> {
    diesel::update(snapshots::table.filter(snapshots::job_id.eq(job).and(snapshots::restored_at.is_null())))
        .set(snapshots::restored_at.eq(now))
        .execute(conn)
        .await?;
    Ok(())
}

/// Everything is as before the job.
pub async fn note_rolled_back(conn: &mut Conn, job: JobId) -> Result<(), DbError> {
    diesel::update(snapshots::table.filter(snapshots::job_id.eq(job)))
        .set((snapshots::status.eq(SnapshotStatus::RolledBack), snapshots::stuck_at.eq(None::<DateTime<Utc>>)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Undoing the change is given up, and everything that was kept for it stays. False: the job changed nothing yet.
pub async fn note_stuck(conn: &mut Conn, job: JobId) -> Result<bool, DbError> {
    let under_way = snapshots::job_id.eq(job).and(snapshots::status.eq(SnapshotStatus::Changing));
    let stuck =
        diesel::update(snapshots::table.filter(under_way)).set(snapshots::stuck_at.eq(now)).execute(conn).await?;
    Ok(stuck > 0)
}

/// Whether a job has changed something that is neither kept nor undone yet.
pub async fn is_under_way(conn: &mut Conn, job: JobId) -> Result<bool, DbError> {
    let under_way =
        snapshots::table.filter(snapshots::job_id.eq(job).and(snapshots::status.eq(SnapshotStatus::Changing)));
    Ok(diesel::select(diesel::dsl::exists(under_way)).get_result(conn).await?)
}

/// The change of an instance whose undo was given up, if there is one.
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

/// Whose files are still needed: those of changes under way (also where the undo was given up), and the newest unexpired way back of each instance.
pub async fn needed(conn: &mut Conn) -> Result<Vec<(SnapshotId, InstanceId)>, DbError> {
    let changing: Vec<(SnapshotId, InstanceId)> = snapshots::table
        .filter(snapshots::status.eq(SnapshotStatus::Changing))
        .select((snapshots::id, snapshots::instance_id))
        .load(conn)
        .await?;
    let kept: Vec<(SnapshotId, InstanceId)> = snapshots::table
        .filter(snapshots::status.eq(SnapshotStatus::Kept).and(snapshots::expires_at.gt(now)))
        .distinct_on(snapshots::instance_id)
        .order((snapshots::instance_id, snapshots::created_at.desc()))
        .select((snapshots::id, snapshots::instance_id))
        .load(conn)
        .await?;
    Ok(changing.into_iter().chain(kept).collect())
}

/// Those of some snapshots that have a row.
pub async fn known(conn: &mut Conn, ids: &[SnapshotId]) -> Result<std::collections::HashSet<SnapshotId>, DbError> {
    let rows: Vec<SnapshotId> =
        snapshots::table.filter(snapshots::id.eq_any(ids)).select(snapshots::id).load(conn).await?;
    Ok(rows.into_iter().collect())
}

/// Images that a way back leads to, or a change under way needs: those of [`needed`].
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
