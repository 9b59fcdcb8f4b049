//! Builds of the shared OpenClaw image.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{now, sql},
    prelude::*,
    sql_types::{Int8, Nullable},
};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Conn, DbError, schema::images};
use crate::{
    ids::{ImageBuildId, JobId, UserId},
    text_enum,
};

text_enum!(
    /// Where an image comes from.
    ImageSource {
        /// The npm package, by the Dockerfile in `deploy/openclaw`.
        Release = "release",
        /// A repository, by its own Dockerfile.
        Git = "git",
        /// An image that others built.
        Registry = "registry",
    }
);

text_enum!(
    /// How far a build is.
    ImageBuildStatus {
        Building = "building",
        Ready = "ready",
        Failed = "failed",
        Cancelled = "cancelled",
    }
);

/// A build, without its log.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = images, check_for_backend(diesel::pg::Pg))]
#[serde(rename_all = "camelCase")]
pub struct ImageBuild {
    pub id: ImageBuildId,
    pub job_id: JobId,
    pub source: ImageSource,
    /// Version of OpenClaw; null: not known before it is built.
    pub version: Option<String>,
    pub status: ImageBuildStatus,
    /// Docker's id of the result.
    pub image_id: Option<String>,
    /// Its size as Docker counts it.
    pub size_bytes: Option<i64>,
    pub error_message: Option<String>,
    pub requested_by: Option<UserId>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    /// What was asked for: a version, a branch or tag, a reference in a registry.
    pub reference: Option<String>,
    /// What that came to, the same for the same content: version and recipe, commit or digest.
    pub revision: Option<String>,
    /// Percent.
    pub progress: i16,
    /// How long the build took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// When the image was removed to make room.
    pub removed_at: Option<DateTime<Utc>>,
}

/// What a build is made from.
#[derive(Debug, Clone, Copy)]
pub struct NewBuild<'a> {
    pub job: JobId,
    pub source: ImageSource,
    /// What was asked for.
    pub reference: &'a str,
    pub revision: &'a str,
    /// Version of OpenClaw, where it is known before.
    pub version: Option<&'a str>,
    pub requested_by: Option<UserId>,
}

/// Begins the build of a job, or begins it again after its worker died.
pub async fn begin(conn: &mut Conn, new: NewBuild<'_>) -> Result<ImageBuildId, DbError> {
    Ok(diesel::insert_into(images::table)
        .values((
            images::id.eq(ImageBuildId::generate()),
            images::job_id.eq(new.job),
            images::source.eq(new.source),
            images::reference.eq(new.reference),
            images::revision.eq(new.revision),
            images::version.eq(new.version),
            images::status.eq(ImageBuildStatus::Building),
            images::requested_by.eq(new.requested_by),
        ))
        .on_conflict(images::job_id)
        .do_update()
        .set((
            images::revision.eq(new.revision),
            images::version.eq(new.version),
            images::status.eq(ImageBuildStatus::Building),
            images::log.eq(""),
            images::log_offset.eq(0),
            images::progress.eq(0),
            images::error_message.eq(None::<String>),
            images::finished_at.eq(None::<DateTime<Utc>>),
        ))
        .returning(images::id)
        .get_result(conn)
        .await?)
}

/// Replaces what is kept of the log; `offset` is how many bytes were cut off at its beginning.
pub async fn set_log(conn: &mut Conn, id: ImageBuildId, log: &str, offset: i64, progress: i16) -> Result<(), DbError> {
    diesel::update(images::table.find(id))
        .set((images::log.eq(log), images::log_offset.eq(offset), images::progress.eq(progress)))
        .execute(conn)
        .await?;
    Ok(())
}

const SINCE_BEGIN: &str = "(extract(epoch FROM now() - created_at) * 1000)::bigint";

/// Ends a build that made an image.
pub async fn finish(
    conn: &mut Conn,
    id: ImageBuildId,
    image_id: &str,
    size_bytes: i64,
    version: &str,
) -> Result<(), DbError> {
    diesel::update(images::table.find(id))
        .set((
            images::status.eq(ImageBuildStatus::Ready),
            images::image_id.eq(image_id),
            images::size_bytes.eq(size_bytes),
            images::version.eq(version),
            images::progress.eq(100),
            images::error_message.eq(None::<String>),
            images::duration_ms.eq(sql::<Nullable<Int8>>(SINCE_BEGIN)),
            images::finished_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends a build that made none.
pub async fn fail(conn: &mut Conn, id: ImageBuildId, status: ImageBuildStatus, message: &str) -> Result<(), DbError> {
    diesel::update(images::table.find(id))
        .set((
            images::status.eq(status),
            images::error_message.eq(message),
            images::duration_ms.eq(sql::<Nullable<Int8>>(SINCE_BEGIN)),
            images::finished_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends the builds whose job has ended without saying so: its worker died, and nobody tried again.
pub async fn fail_abandoned(conn: &mut Conn) -> Result<usize, DbError> {
    Ok(diesel::sql_query(
        "UPDATE images SET status = 'failed', finished_at = now(), \
           error_message = coalesce((SELECT error_message FROM jobs WHERE jobs.id = job_id), 'The build was given up.') \
         WHERE status = 'building' \
           AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = job_id AND jobs.status IN ('queued', 'running'))",
    )
    .execute(conn)
    .await?)
}

/// Notes that images are no longer on the engine.
pub async fn note_removed(conn: &mut Conn, image_ids: &[String]) -> Result<(), DbError> {
    diesel::update(images::table.filter(images::image_id.eq_any(image_ids).and(images::removed_at.is_null())))
        .set(images::removed_at.eq(now))
        .execute(conn)
        .await?;
    Ok(())
}

/// The newest builds.
pub async fn list(conn: &mut Conn, limit: i64) -> Result<Vec<ImageBuild>, DbError> {
    Ok(images::table.order(images::created_at.desc()).limit(limit).select(ImageBuild::as_select()).load(conn).await?)
}

/// One build.
pub async fn find(conn: &mut Conn, id: ImageBuildId) -> Result<Option<ImageBuild>, DbError> {
    Ok(images::table.find(id).select(ImageBuild::as_select()).first(conn).await.optional()?)
}

/// What is kept of a build's log, from the byte `from` of the whole log on: the text, and at which byte it begins.
pub async fn log_from(conn: &mut Conn, id: ImageBuildId, from: i64) -> Result<Option<(String, i64)>, DbError> {
    let row: Option<(String, i64)> =
        images::table.find(id).select((images::log, images::log_offset)).first(conn).await.optional()?;
    Ok(row.map(|(log, offset)| {
        let skip = usize::try_from(from - offset).unwrap_or(0).min(log.len());
        let skip = log.ceil_char_boundary(skip);
        (log[skip..].to_owned(), offset + i64::try_from(skip).unwrap_or(i64::MAX))
    }))
}

/// The newest image that was built and is still there: what an update leads to.
pub async fn latest_ready(conn: &mut Conn) -> Result<Option<ImageBuild>, DbError> {
    Ok(images::table
        .filter(images::status.eq(ImageBuildStatus::Ready).and(images::removed_at.is_null()))
        .order((images::finished_at.desc(), images::created_at.desc()))
        .select(ImageBuild::as_select())
        .first(conn)
        .await
        .optional()?)
}
