//! Builds the image that all instances share, and keeps its log.

use clawdeploy_shared::{
    db::image::{self as builds, ImageBuildStatus, ImageSource, NewBuild},
    ids::ImageBuildId,
    telemetry::chain,
};
use serde::Deserialize;
use tokio::{
    sync::mpsc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

use crate::{
    engine::{
        context::JobContext,
        error::{Failure, StepError},
    },
    image::{self, BuildError, BuildRequest, BuildUpdate, BuiltImage, OpenclawVersion},
};

/// What is kept of a build's log: its last 256 KiB.
const LOG_CAP: usize = 256 << 10;

/// Between two writes of the log; each is also a look at whether the build is still wanted.
const FLUSH: Duration = Duration::from_secs(1);

/// Arguments of the job.
#[derive(Debug, Deserialize)]
struct Payload {
    version: Option<String>,
}

pub(super) async fn build_image(cx: &JobContext) -> Result<(), StepError> {
    let request = request(cx)?;
    let version = request.version.as_str().to_owned();
    let id = {
        let mut conn = cx.env.db.conn().await?;
        let new = NewBuild {
            job: cx.job.id,
            source: ImageSource::Release,
            reference: &version,
            revision: &version,
            version: Some(&version),
            requested_by: cx.job.requested_by,
        };
        builds::begin(&mut conn, new).await?
    };
    cx.log(&format!("Building OpenClaw {version} on {}", request.base_image)).await?;

    let (updates, received) = mpsc::channel(256);
    let cancel = CancellationToken::new();
    // Joined, not raced: when the job is told to stop the build is cancelled first, and its end awaited.
    let (built, followed) =
        tokio::join!(image::build(&cx.env.docker, &request, updates, &cancel), follow(cx, id, received, &cancel));
    let mut conn = cx.env.db.conn().await?;
    match (built, followed) {
        (Ok(BuiltImage { image_id, size_bytes }), Ok(())) => {
            builds::finish(&mut conn, id, &image_id, size_bytes, &version).await?;
            drop(conn);
            cx.log(&format!("Built {image_id}, {} MB", size_bytes / 1_000_000)).await
        }
        (_, Err(stopped)) => {
            builds::fail(&mut conn, id, ImageBuildStatus::Cancelled, "The build was stopped.").await?;
            Err(stopped)
        }
        (Err(error), Ok(())) => {
            builds::fail(&mut conn, id, ImageBuildStatus::Failed, &chain(&error)).await?;
            Err(failure(error))
        }
    }
}

fn request(cx: &JobContext) -> Result<BuildRequest, StepError> {
    let settings = &cx.env.config.image;
    let bad = |error: &dyn std::fmt::Display| StepError::permanent("invalid_image_settings", format!("{error}."));
    let payload: Payload = serde_json::from_value(cx.job.payload.clone()).map_err(|e| bad(&e))?;
    let version = payload.version.as_deref().unwrap_or(&settings.openclaw_version);
    let registry = settings.npm_registry.iter().map(|url| ("NPM_CONFIG_REGISTRY".to_owned(), url.clone()));
    Ok(BuildRequest {
        version: OpenclawVersion::parse(version).map_err(|e| bad(&e))?,
        base_image: settings.base_image.parse().map_err(|e| bad(&e))?,
        target: settings.image.parse().map_err(|e| bad(&e))?,
        extra_args: registry.collect(),
        network: None,
        no_cache: false,
    })
}

/// Writes down what the build prints, until it ends; cancels it when the job is to stop.
async fn follow(
    cx: &JobContext,
    id: ImageBuildId,
    mut updates: mpsc::Receiver<BuildUpdate>,
    cancel: &CancellationToken,
) -> Result<(), StepError> {
    let mut log = String::new();
    let mut percent = 0;
    let mut written = Instant::now();
    let result = loop {
        tokio::select! {
            update = updates.recv() => match update {
                Some(BuildUpdate::Line(line)) => append(&mut log, &line),
                Some(BuildUpdate::Percent(now)) => percent = now,
                None => break Ok(()),
            },
            () = cx.told_to_stop(), if !cancel.is_cancelled() => cancel.cancel(),
        }
        if let Err(stop) = cx.check() {
            cancel.cancel();
            break Err(stop);
        }
        if written.elapsed() >= FLUSH {
            written = Instant::now();
            if let Err(error) = flush(cx, id, &log, percent).await {
                cancel.cancel();
                break Err(error);
            }
        }
    };
    // The build waits for its updates to be taken: let it come to its end.
    while updates.recv().await.is_some() {}
    flush(cx, id, &log, percent).await?;
    result
}

async fn flush(cx: &JobContext, id: ImageBuildId, log: &str, percent: u8) -> Result<(), StepError> {
    builds::set_log(&mut *cx.env.db.conn().await?, id, log, 0, i16::from(percent)).await?;
    let line = log.lines().rev().find(|line| line.starts_with("Step ")).unwrap_or("Preparing");
    cx.log_progress(line, i16::from(percent)).await
}

fn append(log: &mut String, line: &str) {
    log.push_str(line);
    log.push('\n');
    if log.len() > LOG_CAP {
        let cut = log.len() - LOG_CAP / 2;
        let cut = log.ceil_char_boundary(cut);
        let cut = log[cut..].find('\n').map_or(log.len(), |i| cut + i + 1);
        log.drain(..cut);
    }
}

fn failure(error: BuildError) -> StepError {
    let (transient, code) = match &error {
        BuildError::Cancelled => return StepError::Cancelled,
        e if e.is_disk_full() => (false, "disk_full"),
        e if e.is_unreachable() => (true, "docker_unreachable"),
        BuildError::Base { .. } => (false, "base_image_missing"),
        BuildError::TimedOut(_) => (false, "build_timed_out"),
        _ => (true, "build_failed"),
    };
    let mut message = format!("{error}.");
    let tail = error.tail();
    if !tail.is_empty() {
        message.push_str("\nThe last lines of the build:\n");
        message.push_str(&tail[tail.len().saturating_sub(12)..].join("\n"));
    }
    let failure = Failure { code, message, source: Some(error.into()) };
    if transient { StepError::Transient(failure) } else { StepError::Permanent(failure) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_keeps_its_end() {
        let mut log = String::new();
        for n in 0..100_000 {
            append(&mut log, &format!("line {n} é"));
        }
        assert!(log.len() <= LOG_CAP);
        assert!(log.ends_with("line 99999 é\n"));
        assert!(log.starts_with("line "));
    }
}
