//! Builds of the shared OpenClaw image.

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};
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
    }
);

text_enum!(
    /// How far a build is.
    ImageBuildStatus {
        Building = "building",
        Ready = "ready",
        Failed = "failed",
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
    /// Version of OpenClaw.
    pub version: String,
    pub status: ImageBuildStatus,
    /// Docker's id of the result.
    pub image_id: Option<String>,
    /// Its size as Docker counts it.
    pub size_bytes: Option<i64>,
    pub error_message: Option<String>,
    pub requested_by: Option<UserId>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// Begins the build of a job, or begins it again after its worker died.
pub async fn begin(
    conn: &mut Conn,
    job: JobId,
    source: ImageSource,
    version: &str,
    requested_by: Option<UserId>,
) -> Result<ImageBuildId, DbError> {
    Ok(diesel::insert_into(images::table)
        .values((
            images::id.eq(ImageBuildId::generate()),
            images::job_id.eq(job),
            images::source.eq(source),
            images::version.eq(version),
            images::status.eq(ImageBuildStatus::Building),
            images::requested_by.eq(requested_by),
        ))
        .on_conflict(images::job_id)
        .do_update()
        .set((
            images::status.eq(ImageBuildStatus::Building),
            images::log.eq(""),
            images::finished_at.eq(None::<DateTime<Utc>>),
        ))
        .returning(images::id)
        .get_result(conn)
        .await?)
}

/// Replaces what is kept of the log.
pub async fn set_log(conn: &mut Conn, id: ImageBuildId, log: &str) -> Result<(), DbError> {
    diesel::update(images::table.find(id)).set(images::log.eq(log)).execute(conn).await?;
    Ok(())
}

/// Ends a build that made an image.
pub async fn finish(conn: &mut Conn, id: ImageBuildId, image_id: &str, size_bytes: i64) -> Result<(), DbError> {
    diesel::update(images::table.find(id))
        .set((
            images::status.eq(ImageBuildStatus::Ready),
            images::image_id.eq(image_id),
            images::size_bytes.eq(size_bytes),
            images::error_message.eq(None::<String>),
            images::finished_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends a build that made none.
pub async fn fail(conn: &mut Conn, id: ImageBuildId, message: &str) -> Result<(), DbError> {
    diesel::update(images::table.find(id))
        .set((
            images::status.eq(ImageBuildStatus::Failed),
            images::error_message.eq(message),
            images::finished_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// The newest builds.
pub async fn list(conn: &mut Conn, limit: i64) -> Result<Vec<ImageBuild>, DbError> {
    Ok(images::table.order(images::created_at.desc()).limit(limit).select(ImageBuild::as_select()).load(conn).await?)
}
