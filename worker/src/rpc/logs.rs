//! The log of an instance, without its secrets.

use axum::response::Response;
use chrono::Utc;
use clawdeploy_shared::{
    db::{Scope, instance},
    ids::InstanceId,
    inside::{
        RefusalCode,
        usage::{LogArguments, LogLine, LogStream},
    },
    telemetry::chain,
};
use futures_util::StreamExt as _;

use super::{Rpc, refusal::Refused, stream};
use crate::{
    job::secrets::Secrets,
    runtime::printed::{redact, shorten},
};

pub(super) async fn answer(rpc: &Rpc, id: &InstanceId, arguments: LogArguments) -> Result<Response, Refused> {
    let env = &rpc.env;
    let containers = env.runtime.gateways_of(id).await?;
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
    let secrets = Secrets::open(&env.sealer, &instance).map_err(|error| failed(chain(&error)))?;
    let lines = env.runtime.log_lines(&container.id, arguments).await?;
    let lines = lines.map(move |line| match line {
        Ok(line) => LogLine { text: shorten(&redact(&line.text, &secrets.known())), ..line },
        // Whoever reads it would take what came so far for all there is.
        Err(error) => {
            tracing::warn!(error = chain(&error), "A log ended");
            let text = format!("ClawDeploy could not read the log any further: {error}.");
            LogLine { at: Utc::now(), stream: LogStream::Stderr, text }
        }
    });
    Ok(stream::answer(lines, env.draining.clone()))
}
