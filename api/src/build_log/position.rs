//! What comes after a part of a build's log.

use std::time::Duration;

use clawdeploy_shared::{
    db::{
        Conn, Db, DbError, Scope,
        image::{self, ImageBuild, ImageBuildStatus},
        job::{self, Job},
    },
    ids::{ImageBuildId, JobId},
    job::JobStatus,
};

use super::{ImageLog, part};
use crate::follow::board::Question;

/// A build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Build {
    Image(ImageBuildId),
    /// The build of a job, which may not have begun.
    OfJob(JobId),
}

/// A build, and how far its log was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BuildPosition {
    pub build: Build,
    /// Byte offset in the whole log.
    pub from: i64,
}

/// What a build has logged since a position. `None`: there is no such build any more.
pub type BuildNews = Option<More>;

/// The next part of the log of a build that exists.
#[derive(Debug)]
pub struct More {
    pub log: ImageLog,
    /// If the build has ended and its log is complete.
    pub end: Option<End>,
}

/// The end of a build.
#[derive(Debug)]
pub enum End {
    /// `None`: the row was deleted, because an image with the same content exists.
    Image(Option<Box<ImageBuild>>),
    OfJob(ImageBuildStatus),
}

impl Question for BuildPosition {
    type Answer = BuildNews;
    const NAME: &'static str = "builds";
    const INTERVAL: Duration = Duration::from_millis(500);

    /// Only builds that are open keep anybody waiting. They are few, so each is read by itself.
    async fn ask(db: &Db, waiting: &[Self]) -> Result<Vec<(Self, BuildNews)>, DbError> {
        let mut conn = db.conn().await?;
        let mut news = Vec::new();
        for position in waiting {
            let more = match position.build {
                Build::Image(id) => of_image(&mut conn, id, position.from).await?,
                Build::OfJob(id) => of_job(&mut conn, id, position.from).await?,
            };
            if more.as_ref().is_none_or(|more| more.log.to != position.from || more.end.is_some()) {
                news.push((*position, more));
            }
        }
        Ok(news)
    }
}

async fn of_image(conn: &mut Conn, id: ImageBuildId, from: i64) -> Result<BuildNews, DbError> {
    let Some(log) = part(conn, id, from).await? else { return Ok(None) };
    let over = log.status != ImageBuildStatus::Building;
    let end = if over { Some(End::Image(image::find(conn, id).await?.map(Box::new))) } else { None };
    Ok(Some(More { log, end }))
}

async fn of_job(conn: &mut Conn, id: JobId, from: i64) -> Result<BuildNews, DbError> {
    // The job is read before its log: if the job has ended, the log is complete.
    let Some(build) = job::find(conn, Scope::Everything, id).await? else { return Ok(None) };
    let log = log_of_job(conn, &build, from).await?;
    // The status of the job decides, because the job may retry a failed build.
    let end = build.status.is_terminal().then(|| End::OfJob(status(build.status)));
    Ok(Some(More { log, end }))
}

/// The log of a build job from a byte offset on. Empty if the build has not started or its row was deleted.
pub async fn log_of_job(conn: &mut Conn, build: &Job, from: i64) -> Result<ImageLog, DbError> {
    let found = match image::of_job(conn, build.id).await? {
        Some(id) => part(conn, id, from).await?,
        None => None,
    };
    Ok(found.unwrap_or_else(|| {
        let text = String::new();
        ImageLog { from, to: from, text, progress: build.progress, status: status(build.status) }
    }))
}

/// The status of a build without a row: it has not started, or an image with the same content existed.
fn status(job: JobStatus) -> ImageBuildStatus {
    match job {
        JobStatus::Queued | JobStatus::Running => ImageBuildStatus::Building,
        JobStatus::Unknown => ImageBuildStatus::Unknown,
        JobStatus::Succeeded => ImageBuildStatus::Ready,
        JobStatus::Failed => ImageBuildStatus::Failed,
        JobStatus::Cancelled => ImageBuildStatus::Cancelled,
    }
}
