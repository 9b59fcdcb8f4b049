//! The files of an instance: `openclaw.json` and `.env`.
//!
//! Both files belong to the owner as well as to us. They are edited in place and never discarded: if a file cannot be
//! edited, the job fails, says what to do, and leaves the gateway as it is. Anything but a plain file, such as a link,
//! is not followed but moved aside.

use std::collections::BTreeSet;

use clawdeploy_shared::{
    db::instance::{Instance, InstanceSettings},
    ids::InstanceId,
    job::JobKind,
    openclaw::{
        self, CONFIG_FILE, ConfigChange, ENV_FILE, GatewaySettings,
        json5::{self, EditError, Unreadable},
    },
};
use secrecy::ExposeSecret as _;
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::{change, keep, warm};
use crate::{
    job::{
        context::JobContext,
        error::{Failure, StepError},
    },
    storage::StorageError,
};

/// Larger files are not read. Those that OpenClaw writes are a few KiB.
const CAP: u64 = 8 << 20;
/// Most files read at once. Parsing a large one takes many times its size in memory.
static READERS: Semaphore = Semaphore::const_new(2);

/// Fails if `openclaw.json` cannot be edited. For steps that would stop the gateway first. Skipped if the job restores
/// another file in its place.
pub(super) async fn check(cx: &JobContext) -> Result<(), StepError> {
    if cx.job.kind == JobKind::Rollback {
        return Ok(());
    }
    let id = cx.instance_id()?;
    let text = match cx.env.files.read_config_file(id, CONFIG_FILE, CAP).await {
        Ok(Some(bytes)) => text(bytes)?,
        // `write_config` handles those.
        Ok(None) | Err(StorageError::Unsafe { .. }) => return Ok(()),
        Err(StorageError::TooBig { .. }) => return Err(too_large(CONFIG_FILE)),
        Err(error) => return Err(error.into()),
    };
    if json5::is_blank(&text) {
        return Ok(());
    }
    work(move || json5::edit::parse_object(&text).map(drop)).await
}

/// Like [`check`], for a stop that is the first half of a restart.
pub(super) async fn check_before_restart(cx: &JobContext) -> Result<(), StepError> {
    if cx.job.kind == JobKind::Restart { check(cx).await } else { Ok(()) }
}

/// Writes the files of a new instance. In existing ones it only updates the platform's part.
pub(super) async fn write_config(cx: &JobContext) -> Result<(), StepError> {
    let (instance, port) = cx.instance_with_port().await?;
    let secrets = cx.secrets(&instance)?;
    let settings = cx.gateway_settings(&instance, &secrets, port)?;
    let replaced =
        if warm::is_warm(cx).await? { Some(warm::settings(&instance)) } else { change::replaced_settings(cx).await? };
    keep::write_manifest(cx).await?;

    cx.ensure_leased().await?;
    write_openclaw_json(cx, &instance, &settings, replaced.as_ref()).await?;
    write_env(cx, &instance.id, &settings, replaced).await
}

async fn write_openclaw_json(
    cx: &JobContext,
    instance: &Instance,
    settings: &GatewaySettings<'_>,
    replaced: Option<&InstanceSettings>,
) -> Result<(), StepError> {
    let existing = match read(cx, &instance.id, CONFIG_FILE).await? {
        Content::Bytes(bytes) => Some(text(bytes)?),
        Content::Missing => None,
        Content::TooLarge => return Err(too_large(CONFIG_FILE)),
    };
    let is_blank = existing.as_deref().is_some_and(json5::is_blank);
    if is_blank {
        cx.log("openclaw.json is empty; writing a new one").await?;
    }
    let text = if let Some(existing) = existing.filter(|_| !is_blank) {
        let mut change = ConfigChange::platform(settings);
        if let Some(before) = replaced {
            if before.channel != instance.channel || before.bot_token_sealed != instance.bot_token_sealed {
                change = change.channel(before.channel, settings);
            }
            if before.ai_provider != instance.ai_provider {
                change = change.provider(settings);
            }
        }
        work(move || change.apply(&existing)).await?
    } else {
        let text = serde_json::to_string_pretty(&openclaw::config(settings)).map_err(|e| {
            StepError::Permanent(Failure {
                code: "config_failed",
                message: "The configuration could not be written.".into(),
                source: Some(e.into()),
            })
        })?;
        Some(text + "\n")
    };
    let Some(text) = text else { return Ok(()) };
    Ok(cx.env.files.write_config_file(&instance.id, CONFIG_FILE, text.into_bytes()).await?)
}

async fn write_env(
    cx: &JobContext,
    id: &InstanceId,
    settings: &GatewaySettings<'_>,
    replaced: Option<InstanceSettings>,
) -> Result<(), StepError> {
    let variables = openclaw::variables(settings);
    let text = match (read(cx, id, ENV_FILE).await?, replaced) {
        (Content::Missing, _) => openclaw::env_file(&variables),
        (Content::Bytes(existing), Some(before)) => {
            let key = openclaw::key_name(before.ai_provider).map(str::to_owned);
            let before: BTreeSet<_> = before.env_sealed.into_keys().chain(key).collect();
            openclaw::change_env_file(&existing, &before, &variables)
        }
        (Content::TooLarge, Some(_)) => return Err(too_large(ENV_FILE)),
        // Nothing to change.
        (Content::Bytes(_) | Content::TooLarge, None) => return Ok(()),
    };
    Ok(cx.env.files.write_config_file(id, ENV_FILE, text.expose_secret().to_vec()).await?)
}

/// What a file's name refers to.
enum Content {
    Missing,
    Bytes(Vec<u8>),
    TooLarge,
}

/// Reads a file. Anything but a plain file is moved aside and then counts as missing.
async fn read(cx: &JobContext, id: &InstanceId, name: &str) -> Result<Content, StepError> {
    match cx.env.files.read_config_file(id, name, CAP).await {
        Ok(None) => Ok(Content::Missing),
        Ok(Some(bytes)) => Ok(Content::Bytes(bytes)),
        Err(StorageError::TooBig { .. }) => Ok(Content::TooLarge),
        Err(StorageError::Unsafe { what, .. }) => {
            // Logged first: after the move, the reason would be lost.
            cx.log(&format!(
                "{name} cannot be used because it is {what}. It will be renamed to {name}.kept-…, and a new {name} \
                 will be written"
            ))
            .await?;
            cx.ensure_leased().await?;
            let kept = cx.env.files.keep_config_file(id, name).await?;
            cx.log(&format!("Renamed {name} to {kept}")).await?;
            Ok(Content::Missing)
        }
        Err(error) => Err(error.into()),
    }
}

/// Decodes the text of an `openclaw.json`.
fn text(bytes: Vec<u8>) -> Result<String, StepError> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let line = valid.lines().count().max(1) + usize::from(valid.ends_with('\n'));
        let column = valid.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        unreadable(&Unreadable { line, column, what: "not UTF-8".into() }.into())
    })
}

/// Parses on a thread where that may take its time.
async fn work<T: Send + 'static>(work: impl FnOnce() -> Result<T, EditError> + Send + 'static) -> Result<T, StepError> {
    // The semaphore is never closed.
    let _permit = READERS.acquire().await.ok();
    match spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| unreadable(&error)),
        Err(error) => Err(StorageError::Interrupted(error).into()),
    }
}

fn unreadable(error: &EditError) -> StepError {
    let (place, what) = match error {
        EditError::Unreadable(at) => (format!("line {}, column {}", at.line, at.column), at.what.clone()),
        EditError::NoObject => ("line 1, column 1".to_owned(), "it has no top-level object {…}".to_owned()),
        EditError::Wrong => {
            let message = "openclaw.json could not be changed without also changing other parts, so it was left as \
                           it is. Simplify it in a terminal, then try again.";
            return StepError::permanent("config_failed", message);
        }
    };
    StepError::permanent(
        "config_unreadable",
        format!(
            "openclaw.json cannot be parsed at {place}: {what}. The file was left as it is. Fix it in a terminal \
             and try again; if the instance does not run, an administrator can edit the file on the server."
        ),
    )
}

fn too_large(name: &str) -> StepError {
    StepError::permanent(
        if name == CONFIG_FILE { "config_too_large" } else { "env_too_large" },
        format!(
            "{name} is larger than {} MiB, so it was left as it is. Make it smaller in a terminal, then try again.",
            CAP >> 20
        ),
    )
}
