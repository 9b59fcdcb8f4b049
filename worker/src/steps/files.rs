//! The files of an instance: its directories, `openclaw.json` and `.env`.

use clawdeploy_shared::openclaw::{self, CONFIG_FILE, ENV_FILE};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::change;
use crate::engine::{
    context::JobContext,
    error::{Failure, StepError},
};

/// A larger `openclaw.json` is not read; the ones that OpenClaw writes are a few KiB.
const CONFIG_CAP: u64 = 4 << 20;

pub(super) async fn create_directories(cx: &JobContext) -> Result<(), StepError> {
    cx.hold().await?;
    Ok(cx.env.storage.create(cx.instance_id()?).await?)
}

pub(super) async fn remove_directories(cx: &JobContext) -> Result<(), StepError> {
    cx.hold().await?;
    Ok(cx.env.storage.remove(cx.instance_id()?).await?)
}

/// Writes the files of a new instance; in those of an old one puts the platform's part right and leaves the rest.
pub(super) async fn write_config(cx: &JobContext) -> Result<(), StepError> {
    let (instance, port) = cx.instance_with_port().await?;
    let secrets = cx.secrets(&instance)?;
    let settings = cx.gateway_settings(&instance, &secrets, port)?;
    let storage = &cx.env.storage;
    let replaced = change::replaced_settings(cx).await?;

    cx.hold().await?;
    let existing = storage.read_config_file(&instance.id, CONFIG_FILE, CONFIG_CAP).await;
    let config = match existing.map(|file| file.as_deref().map(serde_json::from_slice::<Value>)) {
        Ok(None) => Some(openclaw::config(&settings)),
        Ok(Some(Ok(mut config))) => {
            let before = config.clone();
            if let Some(before) = &replaced {
                if before.channel != instance.channel || before.bot_token_sealed != instance.bot_token_sealed {
                    openclaw::change_channel(&mut config, before.channel, &settings);
                }
                if before.ai_provider != instance.ai_provider {
                    openclaw::change_provider(&mut config, &settings);
                }
            }
            openclaw::restore_platform_config(&mut config, &settings);
            (config != before).then_some(config)
        }
        // JSON5 is legal there too, and the owner's file is the owner's: it is not thrown away for being unreadable.
        Ok(Some(Err(_))) => {
            cx.log("openclaw.json is not plain JSON; it is left as it is").await?;
            None
        }
        Err(error) => {
            cx.log(&format!("openclaw.json cannot be read ({error}); it is written anew")).await?;
            Some(openclaw::config(&settings))
        }
    };
    if let Some(config) = config {
        let mut text = serde_json::to_vec_pretty(&config).map_err(|e| {
            StepError::Permanent(Failure {
                code: "config_failed",
                message: "The configuration could not be written.".into(),
                source: Some(e.into()),
            })
        })?;
        text.push(b'\n');
        storage.write_config_file(&instance.id, CONFIG_FILE, text).await?;
    }
    let existing = storage.read_config_file(&instance.id, ENV_FILE, CONFIG_CAP).await.ok().flatten();
    let variables = openclaw::variables(&settings);
    let env = match (existing.as_deref().map(String::from_utf8_lossy), replaced) {
        (None, _) => openclaw::env_file(&variables),
        (Some(text), Some(before)) => {
            let key = openclaw::key_name(before.ai_provider).map(str::to_owned);
            let before = before.env_sealed.into_keys().chain(key).collect();
            openclaw::change_env_file(&text, &before, &variables)
        }
        (Some(_), None) => return Ok(()),
    };
    Ok(storage.write_config_file(&instance.id, ENV_FILE, env.expose_secret().as_bytes().to_vec()).await?)
}
