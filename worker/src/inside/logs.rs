//! The log of an instance, without its secrets.

use axum::response::Response;
use clawdeploy_shared::{
    db::{
        Scope,
        instance::{self, Instance, places},
    },
    ids::InstanceId,
    inside::{
        RefusalCode,
        usage::{LogArguments, LogLine},
    },
    telemetry::chain,
};
use futures_util::StreamExt as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Inside, refusal::Refused, stream};
use crate::docker::logs::{redact, shorten};

pub(super) async fn answer(inside: &Inside, id: &InstanceId, arguments: LogArguments) -> Result<Response, Refused> {
    let env = &inside.env;
    let containers = env.docker.find_instance_containers(id).await?;
    let container = containers
        .first()
        .ok_or_else(|| Refused::new(RefusalCode::NoContainer, "no container of the instance is on this engine"))?;
    let failed = |error: String| Refused::new(RefusalCode::EngineFailed, error);
    let found = async { instance::find(&mut *env.db.conn().await?, Scope::Everything, id).await };
    let found: Result<_, clawdeploy_shared::db::DbError> = found.await;
    let (instance, _) = found
        .map_err(|error| failed(chain(&error)))?
        .ok_or_else(|| Refused::new(RefusalCode::NoContainer, "there is no such instance"))?;
    // Without knowing what is to be masked nothing is shown.
    let secrets = secrets(inside, &instance).map_err(|error| failed(chain(&error)))?;
    let lines = env.docker.log_lines(&container.id, arguments).await?;
    let lines = lines.filter_map(move |line| {
        let line = line.inspect_err(|error| tracing::warn!(error = chain(error), "A log ended")).ok();
        let secrets: Vec<&str> = secrets.iter().map(SecretString::expose_secret).collect();
        let line = line.map(|line| LogLine { text: shorten(&redact(&line.text, &secrets)), ..line });
        std::future::ready(line)
    });
    Ok(stream::answer(lines, env.draining.clone()))
}

fn secrets(inside: &Inside, instance: &Instance) -> Result<Vec<SecretString>, clawdeploy_shared::secret::SecretError> {
    let id = &instance.id;
    let sealer = &inside.env.sealer;
    let settings = instance.settings();
    let sealed = [
        Some((instance.gateway_token_sealed.as_str(), places::gateway_token(id))),
        instance.bot_token_sealed.as_deref().map(|sealed| (sealed, places::bot_token(id))),
        instance.api_key_sealed.as_deref().map(|sealed| (sealed, places::api_key(id))),
    ];
    let mut secrets = Vec::new();
    for (sealed, place) in sealed.into_iter().flatten() {
        secrets.push(sealer.open(sealed, place)?);
    }
    for (name, sealed) in &settings.env_sealed {
        let column = places::env_column(name);
        secrets.push(sealer.open(sealed, places::env(id, &column))?);
    }
    Ok(secrets)
}
