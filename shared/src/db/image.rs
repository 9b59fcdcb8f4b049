//! Builds of the shared OpenClaw image.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{exists, now, sql},
    prelude::*,
    sql_types::{self, Array, Int8, Nullable, Text},
};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Conn, DbError,
    literal::Literal,
    schema::{images, instances, jobs},
};
use crate::{
    ids::{ImageBuildId, JobId, UserId},
    job::{JobKind, Queue},
    text_enum,
};

text_enum!(
    /// Where an image comes from.
    ImageSource {
        /// The npm package, built with `deploy/openclaw/Dockerfile`.
        Release = "release",
        /// A repository with its own Dockerfile.
        Git = "git",
        /// An existing image of a registry.
        Registry = "registry",
    } else Unknown
);

text_enum!(
    /// Progress of a build.
    ImageBuildStatus {
        Building = "building",
        Ready = "ready",
        Failed = "failed",
        Cancelled = "cancelled",
    } else Unknown
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
    /// The requested version, branch, tag or registry reference.
    pub reference: Option<String>,
    /// The resolved reference, which identifies the content: version and recipe, commit or digest.
    pub revision: Option<String>,
    /// Percent.
    pub progress: i16,
    /// How long the build took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// When the image was removed to make room.
    pub removed_at: Option<DateTime<Utc>>,
    /// Since when new instances use it, or used it; null: never.
    pub current_since: Option<DateTime<Utc>>,
}

/// What to build from.
#[derive(Debug, Clone, Copy)]
pub struct NewBuild<'a> {
    pub job: JobId,
    pub source: ImageSource,
    /// What was asked for.
    pub reference: &'a str,
    pub requested_by: Option<UserId>,
}

/// Begins the build of a job, or restarts it after its worker died.
pub async fn begin(conn: &mut Conn, new: NewBuild<'_>) -> Result<ImageBuildId, DbError> {
    Ok(diesel::insert_into(images::table)
        .values((
            images::id.eq(ImageBuildId::generate()),
            images::job_id.eq(new.job),
            images::source.eq(new.source),
            images::reference.eq(new.reference),
            images::status.eq(ImageBuildStatus::Building),
            images::requested_by.eq(new.requested_by),
        ))
        .on_conflict(images::job_id)
        .do_update()
        .set((
            images::source.eq(new.source),
            images::reference.eq(new.reference),
            images::revision.eq(None::<String>),
            images::version.eq(None::<String>),
            images::status.eq(ImageBuildStatus::Building),
            images::log.eq(""),
            images::log_offset.eq(0),
            images::progress.eq(0),
            images::error_message.eq(None::<String>),
            images::finished_at.eq(None::<DateTime<Utc>>),
            // The image of a lost attempt differs from the one built now.
            images::image_id.eq(None::<String>),
            images::step_images.eq(sql::<Array<Text>>(
                "CASE WHEN images.image_id IS NULL THEN images.step_images \
                 ELSE images.step_images || substr(images.image_id, 8, 12) END",
            )),
        ))
        .returning(images::id)
        .get_result(conn)
        .await?)
}

/// Records what the reference resolved to, and the version of OpenClaw if it is already known.
pub async fn resolved(conn: &mut Conn, id: ImageBuildId, revision: &str, version: Option<&str>) -> Result<(), DbError> {
    diesel::update(images::table.find(id))
        .set((images::revision.eq(revision), images::version.eq(version)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes a build that was not needed because the same content exists.
pub async fn forget(conn: &mut Conn, id: ImageBuildId) -> Result<(), DbError> {
    diesel::delete(images::table.find(id)).execute(conn).await?;
    Ok(())
}

/// The newest image of this content that is built and, as far as known, still exists.
pub async fn ready_of(conn: &mut Conn, source: ImageSource, revision: &str) -> Result<Option<ImageBuild>, DbError> {
    Ok(images::table
        .filter(images::source.eq(source).and(images::revision.eq(revision)))
        .filter(images::status.eq(ImageBuildStatus::Ready).and(images::removed_at.is_null()))
        .order(images::created_at.desc())
        .select(ImageBuild::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// The image of a job whose worker died after building it.
pub async fn ready_by(conn: &mut Conn, job: JobId) -> Result<Option<ImageBuild>, DbError> {
    Ok(images::table
        .filter(images::job_id.eq(job).and(images::status.eq(ImageBuildStatus::Ready)))
        .filter(images::removed_at.is_null())
        .select(ImageBuild::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Records the image of a build and its tags before it is tagged: only recorded images are ours.
pub async fn note_made(conn: &mut Conn, id: ImageBuildId, image_id: &str, tags: &[String]) -> Result<(), DbError> {
    diesel::sql_query(
        "UPDATE images SET image_id = $2, \
           tags = (SELECT array_agg(DISTINCT tag) FROM unnest(tags || $3) AS tag) WHERE id = $1",
    )
    .bind::<sql_types::Uuid, _>(id)
    .bind::<Text, _>(image_id)
    .bind::<Array<Text>, _>(tags)
    .execute(conn)
    .await?;
    Ok(())
}

/// Most step images recorded for a build. Its Dockerfile is not ours and may print anything.
const STEP_IMAGES: i32 = 1000;

/// Records the images of single steps of a build, by the prefix of their ids.
pub async fn add_step_images(conn: &mut Conn, id: ImageBuildId, made: &[String]) -> Result<(), DbError> {
    diesel::sql_query("UPDATE images SET step_images = (step_images || $2)[1:$3] WHERE id = $1")
        .bind::<sql_types::Uuid, _>(id)
        .bind::<Array<Text>, _>(made)
        .bind::<sql_types::Int4, _>(STEP_IMAGES)
        .execute(conn)
        .await?;
    Ok(())
}

/// Those of these image id prefixes that steps of our builds made.
pub async fn made_by_steps(conn: &mut Conn, ids: &[String]) -> Result<Vec<String>, DbError> {
    #[derive(QueryableByName)]
    struct Made {
        #[diesel(sql_type = Text)]
        id: String,
    }
    let made: Vec<Made> = diesel::sql_query(
        "SELECT DISTINCT made.id FROM images, unnest(step_images) AS made (id) WHERE step_images && $1 AND made.id = ANY ($1)",
    )
    .bind::<Array<Text>, _>(ids)
    .load(conn)
    .await?;
    Ok(made.into_iter().map(|made| made.id).collect())
}

/// An image that one of our builds made and that, as far as known, still exists.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = images, check_for_backend(diesel::pg::Pg))]
pub struct OwnImage {
    #[diesel(select_expression = images::image_id.assume_not_null())]
    pub image_id: String,
    pub source: ImageSource,
    pub revision: Option<String>,
    pub version: Option<String>,
    tags: Vec<String>,
}

impl OwnImage {
    /// The tags that we gave it. `repository` is where tags go. For builds from before tags were recorded, they are
    /// derived from what was built.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        if !self.tags.is_empty() {
            return self.tags.clone();
        }
        let of = |revision: &String| {
            let content = revision.rsplit('@').next().unwrap_or_default().trim_start_matches("sha256:");
            content.get(..12).unwrap_or_default().to_owned()
        };
        let tag = match self.source {
            ImageSource::Release => self.version.clone(),
            ImageSource::Git => self.revision.as_ref().map(|revision| format!("git-{}", of(revision))),
            ImageSource::Registry => self.revision.as_ref().map(|revision| format!("registry-{}", of(revision))),
            // A newer version records its tags.
            ImageSource::Unknown => None,
        };
        tag.into_iter().map(|tag| format!("{repository}:{tag}")).collect()
    }
}

/// Our images: built by us and not removed.
pub async fn own(conn: &mut Conn) -> Result<Vec<OwnImage>, DbError> {
    Ok(images::table
        .filter(images::image_id.is_not_null().and(images::removed_at.is_null()))
        .select(OwnImage::as_select())
        .load(conn)
        .await?)
}

/// Records that the tag for new instances now names this image.
pub async fn note_current(conn: &mut Conn, id: ImageBuildId) -> Result<(), DbError> {
    diesel::update(images::table.find(id)).set(images::current_since.eq(now)).execute(conn).await?;
    Ok(())
}

/// Replaces the stored log. `offset` is how many bytes were cut off at its beginning.
pub async fn set_log(conn: &mut Conn, id: ImageBuildId, log: &str, offset: i64, progress: i16) -> Result<(), DbError> {
    diesel::update(images::table.find(id))
        .set((images::log.eq(log), images::log_offset.eq(offset), images::progress.eq(progress)))
        .execute(conn)
        .await?;
    Ok(())
}

const SINCE_BEGIN: &str = "(extract(epoch FROM now() - created_at) * 1000)::bigint";

/// Ends a build that made an image. The image becomes the current one.
pub async fn finish(
    conn: &mut Conn,
    id: ImageBuildId,
    image_id: &str,
    size_bytes: i64,
    version: Option<&str>,
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
            images::current_since.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends a build that made no image.
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

/// Ends the builds whose job has ended without ending them: the worker died and nobody retried.
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

/// Records that images are no longer on the engine.
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

/// The build of a job. `None`: it has not begun or was not needed.
pub async fn of_job(conn: &mut Conn, job: JobId) -> Result<Option<ImageBuildId>, DbError> {
    Ok(images::table.filter(images::job_id.eq(job)).select(images::id).first(conn).await.optional()?)
}

/// The stored log from byte `from` of the whole log on: the text, and the byte at which it begins.
pub async fn log_from(conn: &mut Conn, id: ImageBuildId, from: i64) -> Result<Option<(String, i64)>, DbError> {
    let row: Option<(String, i64)> =
        images::table.find(id).select((images::log, images::log_offset)).first(conn).await.optional()?;
    Ok(row.map(|(log, offset)| {
        let skip = usize::try_from(from - offset).unwrap_or(0).min(log.len());
        let skip = log.ceil_char_boundary(skip);
        (log[skip..].to_owned(), offset + i64::try_from(skip).unwrap_or(i64::MAX))
    }))
}

/// The image that the tag was last set to and that still exists: the target of an update.
pub async fn latest_ready(conn: &mut Conn) -> Result<Option<ImageBuild>, DbError> {
    Ok(newest_ready(conn, 1).await?.into_iter().next())
}

/// The images that were current last and still exist, the current one first.
pub async fn newest_ready(conn: &mut Conn, count: i64) -> Result<Vec<ImageBuild>, DbError> {
    Ok(images::table
        .filter(Literal::new("(images.status = 'ready')").and(images::removed_at.is_null()))
        .order((images::current_since.desc().nulls_last(), images::created_at.desc()))
        .limit(count)
        .select(ImageBuild::as_select())
        .load(conn)
        .await?)
}

/// Whether a build is running or queued.
pub async fn is_building(conn: &mut Conn) -> Result<bool, DbError> {
    let builds = || jobs::table.filter(jobs::kind.eq(JobKind::RebuildImage));
    // One index has the queued jobs by queue, and another one the running jobs, which are few.
    let queued = builds().filter(jobs::queue.eq(Queue::Builds)).filter(Literal::new("(jobs.status = 'queued')"));
    let running = builds().filter(Literal::new("(jobs.status = 'running')"));
    Ok(diesel::select(exists(queued).or(exists(running))).get_result(conn).await?)
}

/// Ids of the images that instances were made from.
pub async fn of_instances(conn: &mut Conn) -> Result<Vec<String>, DbError> {
    let instances =
        instances::table.filter(instances::image_id.is_not_null()).select(instances::image_id.assume_not_null());
    Ok(instances.distinct().load(conn).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_old_builds_are_told_from_what_was_built() {
        let image = |source, revision: &str, version: Option<&str>| OwnImage {
            image_id: String::new(),
            source,
            revision: Some(revision.to_owned()),
            version: version.map(str::to_owned),
            tags: Vec::new(),
        };
        let git = image(ImageSource::Git, "https://example.org/o.git@0123456789abcdef", Some("2026.9.6"));
        assert_eq!(git.tags("openclaw"), ["openclaw:git-0123456789ab"]);
        let release = image(ImageSource::Release, "2026.9.6+abc.def", Some("2026.9.6"));
        assert_eq!(release.tags("openclaw"), ["openclaw:2026.9.6"]);
        let registry = image(ImageSource::Registry, "example.org/o@sha256:fedcba9876543210", None);
        assert_eq!(registry.tags("openclaw"), ["openclaw:registry-fedcba987654"]);
        let noted = OwnImage { tags: vec!["other:one".to_owned()], ..registry };
        assert_eq!(noted.tags("openclaw"), ["other:one"]);
    }
}
