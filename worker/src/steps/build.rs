//! Builds the image that all instances share and stores its log.

use clawdeploy_shared::{
    db::image::{self as builds, ImageBuild, ImageBuildStatus, ImageSource, NewBuild},
    ids::ImageBuildId,
    openclaw::version::OpenclawVersion,
    telemetry::chain,
};
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    image::{
        BuildError, BuildOrder, BuildRequest, BuildSettings, BuildUpdate, BuiltImage, ImageBuilder, Resolved,
        source_dir,
    },
    job::{
        context::JobContext,
        error::{Failure, StepError},
    },
    runtime::Runtime,
};

/// Most bytes of a build's log that are stored: its end.
const LOG_CAP: usize = 256 << 10;

/// Delay between two writes of the log. Each write also checks whether the build is still wanted.
const FLUSH: Duration = Duration::from_secs(1);

/// How the image was obtained.
enum Made {
    /// The engine already had the same content.
    Found,
    Built(BuiltImage),
}

/// Why there is no image: an error of the build, or of the job.
enum Trouble {
    Build(BuildError),
    Step(StepError),
}

impl From<BuildError> for Trouble {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl<E: Into<StepError>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Step(error.into())
    }
}

pub(super) async fn build_image(cx: &JobContext) -> Result<(), StepError> {
    let order = order(cx)?;
    if let Some(build) = builds::ready_by(&mut *cx.env.db.conn().await?, cx.job.id).await?
        && cx.env.runtime.image_id(build.image_id.as_deref().unwrap_or_default()).await?.is_some()
    {
        return cx.log("The image was already built by a worker that crashed afterwards").await;
    }
    let reference = order.source.reference();
    let new = NewBuild {
        job: cx.job.id,
        source: order.source.kind(),
        reference: &reference,
        requested_by: cx.job.requested_by,
    };
    // The row belongs to the job, not the attempt. A late insert would restart a finished build.
    let id = cx.fenced(async |conn| Ok(builds::begin(conn, new).await?)).await?;
    cx.log(&format!("Building OpenClaw {reference} ({})", order.source.kind())).await?;

    let (updates, received) = mpsc::channel(256);
    let cancel = CancellationToken::new();
    let limit = cx.env.config.image.build.build_within;
    let work = async {
        tokio::select! {
            () = cancel.cancelled() => Err(BuildError::Cancelled.into()),
            made = timeout(limit, make(cx, id, &order, updates)) => {
                made.unwrap_or_else(|_| Err(BuildError::TimedOut(limit).into()))
            }
        }
    };
    // Joined, not raced: when the job must stop, the build is cancelled first and then awaited.
    let (made, followed) = tokio::join!(work, follow(cx, id, received, &cancel));
    cx.ensure_leased().await?;
    match (made, followed) {
        // The successor builds the image again or finds it.
        (Ok(_), Err(StepError::LeaseLost)) => Err(StepError::LeaseLost),
        (Ok(Made::Found), followed) => {
            cx.fenced(async |conn| Ok(builds::forget(conn, id).await?)).await?;
            followed
        }
        // Only now, because the whole log of a finished build is written.
        (Ok(Made::Built(built)), followed) => {
            let version = built.version.as_deref();
            cx.fenced(async |conn| Ok(builds::finish(conn, id, &built.image_id, built.size_bytes, version).await?))
                .await?;
            followed?;
            let said = version.map(|version| format!("OpenClaw {version}, ")).unwrap_or_default();
            cx.log(&format!("Built {}, {said}{} MB", built.image_id, built.size_bytes / 1_000_000)).await
        }
        (Err(_), Err(stopped)) => {
            fail(cx, id, ImageBuildStatus::Cancelled, "The build was cancelled.").await?;
            Err(stopped)
        }
        (Err(Trouble::Build(error)), Ok(())) => {
            fail(cx, id, ImageBuildStatus::Failed, &chain(&error)).await?;
            Err(failure(error))
        }
        (Err(Trouble::Step(error)), Ok(())) => {
            fail(cx, id, ImageBuildStatus::Failed, &chain(&error)).await?;
            Err(error)
        }
    }
}

async fn fail(cx: &JobContext, id: ImageBuildId, status: ImageBuildStatus, why: &str) -> Result<(), StepError> {
    cx.fenced(async |conn| Ok(builds::fail(conn, id, status, why).await?)).await
}

fn order(cx: &JobContext) -> Result<BuildOrder, StepError> {
    let bad = |error: &dyn std::fmt::Display| StepError::permanent("invalid_image_settings", format!("{error}."));
    let request: BuildRequest = serde_json::from_value(cx.job.payload.clone()).map_err(|e| bad(&e))?;
    let config = &cx.env.config;
    let settings = BuildSettings {
        image: &config.image.image,
        source: config.image.source,
        build: &config.image.build,
        objects: source_dir(&config.instances.data_dir),
    };
    BuildOrder::new(settings, &request).map_err(|e| bad(&e))
}

/// Builds or finds the image and makes it the one for new instances.
async fn make(
    cx: &JobContext,
    id: ImageBuildId,
    order: &BuildOrder,
    updates: mpsc::Sender<BuildUpdate>,
) -> Result<Made, Trouble> {
    let Runtime::Docker(docker) = &cx.env.runtime;
    let mut builder = ImageBuilder::new(docker, &order.source, &order.target, updates);
    let resolved = builder.resolve().await?;
    // By force the same is built again, without cached steps.
    if !order.limits.no_cache
        && let Some((build, image_id)) = there_already(cx, order.source.kind(), &resolved).await?
    {
        let tags = builder.tags(&resolved);
        cx.ensure_leased().await?;
        cx.fenced(async |conn| Ok(builds::note_made(conn, build.id, &image_id, &tags).await?)).await?;
        builder.make_current(&image_id, &resolved).await?;
        cx.fenced(async |conn| Ok(builds::note_current(conn, build.id).await?)).await?;
        cx.log(&format!("The same image is already there: {image_id}")).await?;
        return Ok(Made::Found);
    }
    builder.check_room(&cx.env.config.instances.data_dir, cx.env.config.image.build.min_disk_mib).await?;
    let version = resolved.version.as_ref().map(OpenclawVersion::as_str);
    cx.fenced(async |conn| Ok(builds::resolved(conn, id, &resolved.revision, version).await?)).await?;
    let built = builder.produce(&resolved, &order.limits).await?;
    let tags = builder.tags(&resolved);
    cx.ensure_leased().await?;
    // First: an image that is not in the table has no owner, whatever its tags say.
    cx.fenced(async |conn| Ok(builds::note_made(conn, id, &built.image_id, &tags).await?)).await?;
    builder.make_current(&built.image_id, &resolved).await?;
    Ok(Made::Built(built))
}

/// The image with this content, if the engine has it.
async fn there_already(
    cx: &JobContext,
    source: ImageSource,
    resolved: &Resolved,
) -> Result<Option<(ImageBuild, String)>, StepError> {
    let found = builds::ready_of(&mut *cx.env.db.conn().await?, source, &resolved.revision).await?;
    let Some((build, image_id)) = found.and_then(|build| Some((build.image_id.clone()?, build))).map(|(i, b)| (b, i))
    else {
        return Ok(None);
    };
    if cx.env.runtime.image_id(&image_id).await?.is_some() {
        return Ok(Some((build, image_id)));
    }
    cx.fenced(async |conn| Ok(builds::note_removed(conn, &[image_id]).await?)).await?;
    Ok(None)
}

/// The stored part of the output.
#[derive(Debug, Default)]
struct Log {
    text: String,
    /// Bytes cut off at the beginning.
    cut: usize,
    percent: u8,
    step: String,
    /// Images of single steps that are not recorded yet.
    step_images: Vec<String>,
}

/// Stores the output until the build ends, and cancels the build when the job must stop.
async fn follow(
    cx: &JobContext,
    id: ImageBuildId,
    mut updates: mpsc::Receiver<BuildUpdate>,
    cancel: &CancellationToken,
) -> Result<(), StepError> {
    let mut log = Log { step: "Preparing".to_owned(), ..Log::default() };
    let mut written = Instant::now();
    let mut news = false;
    let result = loop {
        tokio::select! {
            update = updates.recv() => match update {
                Some(update) => {
                    log.take(update);
                    news = true;
                }
                None => break Ok(()),
            },
            // A step may print nothing for minutes, so earlier output is written in the meantime.
            () = sleep_until(written + FLUSH), if news => {}
            () = cx.told_to_stop(), if !cancel.is_cancelled() => cancel.cancel(),
        }
        if let Err(stop) = cx.check() {
            cancel.cancel();
            break Err(stop);
        }
        if news && written.elapsed() >= FLUSH {
            (written, news) = (Instant::now(), false);
            if let Err(error) = flush(cx, id, &mut log).await {
                cancel.cancel();
                break Err(error);
            }
        }
    };
    // The build blocks until its updates are received: let it end.
    while let Some(update) = updates.recv().await {
        log.take(update);
    }
    if let Err(StepError::LeaseLost) = result {
        // The row belongs to the successor by now.
        return result;
    }
    flush(cx, id, &mut log).await?;
    result
}

async fn flush(cx: &JobContext, id: ImageBuildId, log: &mut Log) -> Result<(), StepError> {
    let (cut, percent) = (i64::try_from(log.cut).unwrap_or(i64::MAX), i16::from(log.percent));
    cx.log_progress(&log.step, percent).await?;
    cx.fenced(async |conn| {
        if !log.step_images.is_empty() {
            builds::add_step_images(conn, id, &log.step_images).await?;
        }
        Ok(builds::set_log(conn, id, &log.text, cut, percent).await?)
    })
    .await?;
    log.step_images.clear();
    Ok(())
}

impl Log {
    fn take(&mut self, update: BuildUpdate) {
        match update {
            BuildUpdate::Line(line) => self.append(&line),
            BuildUpdate::Step { percent, title } => {
                self.percent = percent;
                self.step = title;
            }
            BuildUpdate::StepImage(image) => self.step_images.push(image),
        }
    }

    fn append(&mut self, line: &str) {
        let log = &mut self.text;
        log.push_str(line);
        log.push('\n');
        if log.len() > LOG_CAP {
            let cut = log.len() - LOG_CAP / 2;
            let cut = log.ceil_char_boundary(cut);
            let cut = log[cut..].find('\n').map_or(log.len(), |i| cut + i + 1);
            log.drain(..cut);
            self.cut += cut;
        }
    }
}

fn failure(error: BuildError) -> StepError {
    if let BuildError::Cancelled = error {
        return StepError::Cancelled;
    }
    let (code, transient) = error.kind();
    let limit = error.host_limit().map(|limit| format!(" {}", limit.explain())).unwrap_or_default();
    let message = format!("{error}.{limit}{}", error.last_lines());
    let failure = Failure { code, message, source: Some(error.into()) };
    if transient { StepError::Transient(failure) } else { StepError::Permanent(failure) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_keeps_its_end_and_counts_what_it_lost() {
        let mut log = Log::default();
        let mut all = 0;
        for n in 0..100_000 {
            let line = format!("line {n} é");
            all += line.len() + 1;
            log.take(BuildUpdate::Line(line));
        }
        assert!(log.text.len() <= LOG_CAP);
        assert_eq!(log.cut + log.text.len(), all);
        assert!(log.text.ends_with("line 99999 é\n"));
        assert!(log.text.starts_with("line "));
    }
}
