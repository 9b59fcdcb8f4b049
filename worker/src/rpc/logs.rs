//! The log of an instance, with its secrets masked.

use axum::response::Response;
use chrono::Utc;
use clawdeploy_shared::{
    db::{Scope, instance},
    ids::InstanceId,
    rpc::{
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
        .ok_or_else(|| Refused::new(RefusalCode::NoContainer, "this engine has no container of the instance"))?;
    let failed = |error: String| Refused::new(RefusalCode::EngineFailed, error);
    let found = async { instance::find(&mut *env.db.conn().await?, Scope::Everything, id).await };
    let found: Result<_, clawdeploy_shared::db::DbError> = found.await;
    let (instance, _) = found
        .map_err(|error| failed(chain(&error)))?
        .ok_or_else(|| Refused::new(RefusalCode::NoContainer, "the instance does not exist"))?;
    // Nothing is shown if it is not known what to mask.
    let secrets = Secrets::open(&env.sealer, &instance).map_err(|error| failed(chain(&error)))?;
    let lines = env.runtime.log_lines(&container.id, arguments).await?;
    let lines = lines.map(move |line| match line {
        Ok(line) => LogLine { text: shorten(&redact(&line.text, &secrets.known())), ..line },
        // Otherwise the reader would take the part so far for everything.
        Err(error) => {
            tracing::warn!(error = chain(&error), "Reading a log failed");
            let text = format!("ClawDeploy could not read further: {error}.");
            LogLine { at: Utc::now(), stream: LogStream::Stderr, text }
        }
    });
    Ok(stream::answer(lines, env.draining.clone()))
}
