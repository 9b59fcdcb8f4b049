//! A one-time token for the dashboard.
//!
//! Our plugin in the gateway makes it in milliseconds. If it does not answer, `openclaw dashboard` does, which takes
//! seconds of CPU and hundreds of MiB.

use clawdeploy_shared::{
    ids::InstanceId,
    rpc::{NoArguments, OwnerBootstrap, RefusalCode},
    telemetry::chain,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    Rpc,
    openclaw::{self, BUDGET, Gateway, PATIENCE, busy},
    refusal::Refused,
};
use crate::{
    gateway_rpc::{Link, plugin},
    runtime::Reference,
};

/// The needed part of the command's answer. The rest holds the gateway's own token and is dropped with the output.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dashboard {
    browser_url: SecretString,
    browser_bootstrap_expires_at_ms: i64,
}

pub(super) async fn run(
    rpc: &Rpc,
    instance: &InstanceId,
    container: Reference,
    _: NoArguments,
) -> Result<OwnerBootstrap, Refused> {
    let deadline = Instant::now() + BUDGET;
    if let Some(made) = by_plugin(rpc, instance).await? {
        return Ok(made);
    }
    let gateway = Gateway::take(rpc, instance, container, deadline).await?;
    bootstrap(&gateway.expect(&["dashboard"]).await?)
        .ok_or_else(|| Refused::new(RefusalCode::CommandFailed, "OpenClaw returned no token to sign in with"))
}

/// `None`: the gateway has no plugin of ours, or it did not answer.
async fn by_plugin(rpc: &Rpc, instance: &InstanceId) -> Result<Option<OwnerBootstrap>, Refused> {
    let (row, port) = openclaw::row(rpc, instance).await?;
    let Some(link) = port.and_then(|port| Link::to(&rpc.env, &row, port)) else { return Ok(None) };
    let _turn = rpc.questions.acquire(instance, openclaw::owner(&row)?, PATIENCE).await.ok_or_else(busy)?;
    match link.owner_bootstrap(&rpc.env.http).await {
        Ok(made) => Ok(Some(made)),
        Err(error) => {
            tracing::debug!(%instance, error = chain(&error), "Our plugin in the gateway did not answer");
            Ok(None)
        }
    }
}

pub(super) fn bootstrap(dashboard: &Dashboard) -> Option<OwnerBootstrap> {
    let (_, fragment) = dashboard.browser_url.expose_secret().split_once('#')?;
    let token = fragment.split('&').find_map(|pair| pair.strip_prefix("bootstrapToken="))?;
    plugin::checked(token, dashboard.browser_bootstrap_expires_at_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<OwnerBootstrap> {
        bootstrap(&serde_json::from_str(text).ok()?)
    }

    /// The complete answer of OpenClaw 2026.9.6.
    #[test]
    fn only_the_token_for_signing_in_is_taken() {
        let got = read(include_str!("fixtures/dashboard.json")).unwrap();
        assert_eq!(got.token.expose_secret(), "GkqBXhwwdmTsG9AwLiAlXUuXsXzOQLXu7U7HQzdzJ3w");
        assert_eq!(got.expires_at.timestamp_millis(), 1_795_619_206_139);
        let sent = serde_json::to_string(&got).unwrap();
        assert!(!sent.contains("aaaa") && !sent.contains("gatewayUrl"), "{sent}");
    }

    #[test]
    fn what_is_no_token_makes_no_link() {
        let with = |fragment: &str| {
            read(&format!("{{\"browserUrl\":\"http://x/{fragment}\",\"browserBootstrapExpiresAtMs\":1795619206139}}"))
        };
        assert!(with("#bootstrapToken=abc_-9&bootstrapProfile=owner").is_some());
        let long = format!("#bootstrapToken={}", "a".repeat(257));
        for bad in ["", "#", "#token=abc", "#bootstrapToken=", "#bootstrapToken=a%26b", "#bootstrapToken=<b>", &long] {
            assert!(with(bad).is_none(), "{bad}");
        }
        assert!(read("{\"ok\":true,\"url\":\"http://x/#token=abc\"}").is_none());
    }
}
