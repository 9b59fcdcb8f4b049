//! A one-time token for the dashboard: `openclaw dashboard`.

use chrono::{DateTime, Utc};
use clawdeploy_shared::rpc::{NoArguments, OwnerBootstrap, RefusalCode};
use secrecy::SecretString;
use serde::Deserialize;

use super::{openclaw::Gateway, refusal::Refused};

/// Longest token that is passed on. OpenClaw's have 43 characters.
const TOKEN_CAP: usize = 256;

/// The needed part of the answer. The rest holds the gateway's own token and is dropped with the output.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dashboard {
    browser_url: SecretString,
    browser_bootstrap_expires_at_ms: i64,
}

pub(super) async fn run(gateway: &Gateway, _: NoArguments) -> Result<OwnerBootstrap, Refused> {
    let dashboard: Dashboard = gateway.expect(&["dashboard"]).await?;
    bootstrap(&dashboard)
        .ok_or_else(|| Refused::new(RefusalCode::CommandFailed, "OpenClaw returned no token to sign in with"))
}

pub(super) fn bootstrap(dashboard: &Dashboard) -> Option<OwnerBootstrap> {
    use secrecy::ExposeSecret as _;
    let (_, fragment) = dashboard.browser_url.expose_secret().split_once('#')?;
    let token = fragment.split('&').find_map(|pair| pair.strip_prefix("bootstrapToken="))?;
    // It becomes part of a link, so only characters without a meaning there.
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if token.is_empty() || token.len() > TOKEN_CAP || !token.bytes().all(is_plain) {
        return None;
    }
    let expires_at = DateTime::<Utc>::from_timestamp_millis(dashboard.browser_bootstrap_expires_at_ms)?;
    Some(OwnerBootstrap { token: token.into(), expires_at })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

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
        let long = format!("#bootstrapToken={}", "a".repeat(TOKEN_CAP + 1));
        for bad in ["", "#", "#token=abc", "#bootstrapToken=", "#bootstrapToken=a%26b", "#bootstrapToken=<b>", &long] {
            assert!(with(bad).is_none(), "{bad}");
        }
        assert!(read("{\"ok\":true,\"url\":\"http://x/#token=abc\"}").is_none());
    }
}
