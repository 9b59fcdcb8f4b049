//! The manifests beside the instances' files, and what can be learned of an instance without a row.

use clawdeploy_shared::{
    db::{
        instance::{Instance, InstanceSettings, seal_context},
        recoverable::{self, Manifest, RecoverableState},
    },
    ids::InstanceId,
    instance::{AiProvider, Channel, DEFAULT_CPU_MILLIS, DEFAULT_MEMORY_MB},
    openclaw::CONFIG_FILE,
    secret::{Sealer, SecretError},
    telemetry::chain,
};
use secrecy::SecretString;
use serde_json::Value;

use super::SweepError;
use crate::{env::Env, files::Files, job::secrets::opens, storage::Storage};

/// A larger `openclaw.json` is not read.
const CONFIG_CAP: u64 = 4 << 20;

/// Rewrites the manifest of an instance if it differs from its row. `instance` and `email` are what was read a moment
/// ago: as long as they agree with the manifest, nothing more is read.
pub(super) async fn keep_current(env: &Env, instance: &Instance, email: Option<String>) -> Result<(), SweepError> {
    let bytes = |manifest: Manifest| {
        manifest.to_bytes().map_err(|e| SweepError::from(diesel::result::Error::SerializationError(e.into())))
    };
    // An unreadable manifest counts as none.
    let Files::Local(storage) = &env.files;
    let id = &instance.id;
    let there = storage.read_manifest(id).await.ok().flatten();
    if there == Some(bytes(Manifest::of(instance, email))?) {
        return Ok(());
    }
    let Some(manifest) = recoverable::manifest_of(&mut *env.db.conn().await?, id).await? else { return Ok(()) };
    let wanted = bytes(manifest)?;
    if there.as_ref() != Some(&wanted) {
        storage.write_manifest(id, wanted).await?;
    }
    Ok(())
}

/// What is known of files without a row.
pub(super) struct Origin {
    /// Only if this installation's keys can decrypt its secrets.
    pub(super) manifest: Option<Manifest>,
    pub(super) reason: String,
}

/// From the manifest. If it is missing or its secrets cannot be decrypted, from `openclaw.json`.
pub(super) async fn origin(
    storage: &Storage,
    sealer: &Sealer,
    id: &InstanceId,
    state: RecoverableState,
) -> Result<Origin, SweepError> {
    let what = match state {
        RecoverableState::Deleted => "It was found in the quarantine. The database does not say when it was deleted.",
        RecoverableState::Unclaimed => "This directory is not in the database.",
    };
    let read = storage.read_manifest(id).await?;
    let manifest = read.and_then(|bytes| Manifest::from_bytes(&bytes, id));
    if let Some(manifest) = &manifest
        && opens(sealer, manifest)
    {
        return Ok(Origin { manifest: Some(manifest.clone()), reason: what.to_owned() });
    }
    let why = match &manifest {
        Some(_) => "The secrets in its manifest cannot be decrypted with this installation's keys",
        None => "It has no readable manifest",
    };
    let file = match state {
        RecoverableState::Deleted => storage.read_quarantined_config(id, CONFIG_FILE, CONFIG_CAP).await,
        RecoverableState::Unclaimed => storage.read_config_file(id, CONFIG_FILE, CONFIG_CAP).await,
    };
    let config = match file {
        Ok(file) => file.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()),
        Err(error) => {
            tracing::warn!(instance.id = %id, error = chain(&error), "Could not read the configuration of an unknown instance");
            None
        }
    };
    let found = match config {
        Some(config) => from_config(sealer, id, &config, manifest.as_ref())
            .map_err(|e| diesel::result::Error::SerializationError(e.into()))?,
        None => None,
    };
    let reason = match found {
        Some(_) => format!("{what} {why}; its gateway token was read from {CONFIG_FILE}."),
        None => format!("{what} {why}, and {CONFIG_FILE} cannot be read either. It will get a new gateway token."),
    };
    Ok(Origin { manifest: found, reason })
}

/// From `openclaw.json`, with the rest of a manifest whose secrets are lost. `None` if it has no gateway token.
fn from_config(
    sealer: &Sealer,
    id: &InstanceId,
    config: &Value,
    lost: Option<&Manifest>,
) -> Result<Option<Manifest>, SecretError> {
    let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str).map(SecretString::from);
    let Some(token) = text("/gateway/auth/token") else { return Ok(None) };
    let bot = |channel: Channel, field: &str| {
        let enabled = config.pointer(&format!("/channels/{channel}/enabled")).and_then(Value::as_bool) != Some(false);
        text(&format!("/channels/{channel}/{field}")).filter(|_| enabled).map(|token| (channel, token))
    };
    let bot = bot(Channel::Telegram, "botToken").or_else(|| bot(Channel::Discord, "token"));
    let sealed = bot.as_ref().map(|(_, token)| sealer.seal(token, seal_context::bot_token(id))).transpose()?;
    let settings = InstanceSettings {
        memory_mb: lost.map_or(DEFAULT_MEMORY_MB, |lost| lost.settings.memory_mb),
        cpu_millis: lost.map_or(DEFAULT_CPU_MILLIS, |lost| lost.settings.cpu_millis),
        channel: bot.map_or(Channel::None, |(channel, _)| channel),
        bot_token_sealed: sealed,
        // Its key is in `.env` and stays there. Only the owner can enter it again for the row.
        ai_provider: AiProvider::None,
        api_key_sealed: None,
        env_sealed: std::collections::BTreeMap::new(),
    };
    let mut manifest = Manifest::unnamed(id, sealer.seal(&token, seal_context::gateway_token(id))?, settings);
    if let Some(lost) = lost {
        manifest.name.clone_from(&lost.name);
        manifest.owner_id = lost.owner_id;
        manifest.owner_email.clone_from(&lost.owner_email);
        manifest.image_id.clone_from(&lost.image_id);
        manifest.openclaw_version.clone_from(&lost.openclaw_version);
        manifest.disk_limit_bytes = lost.disk_limit_bytes;
        manifest.created_at = lost.created_at;
    }
    Ok(Some(manifest))
}
