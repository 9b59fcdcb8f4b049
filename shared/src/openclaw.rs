//! The files that OpenClaw reads: `openclaw.json` and `.env`.
//!
//! OpenClaw refuses unknown keys and exits with 78, so only keys of its schema are written. The owner may edit the
//! file, in the dashboard or a terminal. Later starts only restore the subtrees that the platform needs to reach the
//! gateway and leave everything else alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::Ipv4Addr,
};

use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde_json::{Map, Value, json};

use crate::{
    config::{Routing, RoutingArgs},
    ids::InstanceId,
    instance::{AiProvider, Channel},
};

use self::json5::{EditError, Patch};

pub mod git_ref;
pub mod json5;
pub mod reference;
pub mod version;

pub const CONFIG_FILE: &str = "openclaw.json";
pub const ENV_FILE: &str = ".env";

/// Port of the gateway inside its container.
pub const GATEWAY_PORT: u16 = 18789;

/// Mount point of the workspace. It is not below the config directory: a tenant could replace a mount point in a
/// directory that they may write by a link before the next start.
pub const WORKSPACE_DIR: &str = "/home/node/workspace";

/// The settings that the files are rendered from.
#[derive(Debug)]
pub struct GatewaySettings<'a> {
    pub id: &'a InstanceId,
    pub token: &'a SecretString,
    pub channel: Channel,
    pub bot_token: Option<&'a SecretString>,
    pub ai_provider: AiProvider,
    pub api_key: Option<&'a SecretString>,
    /// The owner's environment variables.
    pub env: &'a BTreeMap<String, SecretString>,
    pub routing: &'a RoutingArgs,
    pub port: u16,
    /// Source address of the host's nginx: the gateway of the instance's network.
    pub proxy: Ipv4Addr,
    /// OpenClaw's version, for its record of what set it up.
    pub openclaw_version: &'a str,
    /// Time of creation, RFC 3339.
    pub created_at: String,
}

/// The file for a new instance.
pub fn config(settings: &GatewaySettings<'_>) -> Value {
    let mut root = json!({
        "agents": { "defaults": { "workspace": WORKSPACE_DIR } },
        "update": { "checkOnStart": false },
        "wizard": {
            "lastRunAt": settings.created_at,
            "lastRunVersion": settings.openclaw_version,
            "lastRunCommand": "onboard",
            "lastRunMode": "local",
        },
    });
    merge(&mut root, platform_config(settings));
    merge(&mut root, model_config(settings.ai_provider));
    merge(&mut root, channel_config(settings.channel, settings.bot_token));
    root
}

/// Changes to a file that the owner may also edit. Everything else in it stays.
#[derive(Default)]
pub struct ConfigChange {
    values: Value,
    removed: Vec<Vec<&'static str>>,
}

impl fmt::Debug for ConfigChange {
    /// Without the values, which are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigChange").field("removed", &self.removed).finish_non_exhaustive()
    }
}

impl ConfigChange {
    /// Restores the platform's subtrees.
    pub fn platform(settings: &GatewaySettings<'_>) -> Self {
        Self { values: platform_config(settings), removed: Vec::new() }
    }

    /// Sets another channel or bot. The old channel is disabled and loses its token; the owner's other settings of it
    /// stay.
    #[must_use]
    pub fn channel(mut self, before: Channel, settings: &GatewaySettings<'_>) -> Self {
        if before != settings.channel && before != Channel::None {
            merge(&mut self.values, json!({ "channels": { before.as_str(): { "enabled": false } } }));
            // A secret that is no longer needed is removed, so that printing the file does not show it.
            self.removed.push(vec!["channels", before.as_str(), token_field(before)]);
        }
        merge(&mut self.values, channel_config(settings.channel, settings.bot_token));
        self
    }

    /// Sets the model of another provider.
    #[must_use]
    pub fn provider(mut self, settings: &GatewaySettings<'_>) -> Self {
        merge(&mut self.values, model_config(settings.ai_provider));
        self
    }

    /// The changed text, or `None` if nothing changes.
    pub fn apply(self, text: &str) -> Result<Option<String>, EditError> {
        let Value::Object(values) = self.values else { return Ok(None) };
        Patch { values, removed: self.removed }.apply(text)
    }
}

/// The settings with which the platform, and nobody else, reaches the gateway.
fn platform_config(settings: &GatewaySettings<'_>) -> Value {
    let mut gateway = json!({
        "mode": "local",
        "port": GATEWAY_PORT,
        "bind": "lan",
        "auth": {
            "mode": "token",
            "token": settings.token.expose_secret(),
            "rateLimit": { "maxAttempts": 10, "windowMs": 60_000, "lockoutMs": 300_000 },
        },
        "tailscale": { "mode": "off" },
    });
    let routed = match settings.routing.routing {
        // Without a proxy, no header may name one: with `trustedProxies` set, OpenClaw answers 403 to requests from
        // that address without `X-Forwarded-For`, such as a browser on this machine.
        Routing::Direct => json!({
            "controlUi": { "allowedOrigins": [
                format!("http://127.0.0.1:{}", settings.port), format!("http://localhost:{}", settings.port),
            ] },
            "trustedProxies": [],
        }),
        Routing::Nginx => {
            let origin = settings.routing.origin(settings.id);
            json!({
                "controlUi": { "allowedOrigins": [origin] },
                "publicOrigin": origin,
                "trustedProxies": [settings.proxy.to_string()],
            })
        }
    };
    merge(&mut gateway, routed);
    json!({ "gateway": gateway })
}

/// The model that OpenClaw's onboarding picks for each provider. Without one it asks OpenAI, whatever the key.
fn model_config(provider: AiProvider) -> Value {
    let primary = match provider {
        // `Instance::known_settings` has already refused `Unknown`.
        AiProvider::None | AiProvider::Unknown => return json!({}),
        AiProvider::Anthropic => "anthropic/claude-opus-5",
        AiProvider::Openai => "openai/gpt-6-astra",
        AiProvider::Gemini => "google/gemini-3.1-pro-preview",
        AiProvider::Openrouter => "openrouter/auto",
    };
    let mut defaults = json!({ "model": { "primary": primary } });
    if provider == AiProvider::Openai {
        // Otherwise OpenClaw fetches its codex plugin from npm at boot and exits if it cannot.
        merge(&mut defaults, json!({ "models": { "openai/*": { "agentRuntime": { "id": "openclaw" } } } }));
    }
    json!({ "agents": { "defaults": defaults } })
}

fn channel_config(channel: Channel, bot_token: Option<&SecretString>) -> Value {
    let token = bot_token.map(SecretString::expose_secret).unwrap_or_default();
    match channel {
        Channel::None | Channel::Unknown => json!({}),
        Channel::Telegram => json!({
            "channels": { "telegram": { "enabled": true, "botToken": token, "dmPolicy": "pairing" } },
        }),
        // Discord is not bundled: OpenClaw installs the plugin at first boot and trusts it only with this entry.
        Channel::Discord => json!({
            "channels": { "discord": { "enabled": true, "token": token } },
            "plugins": { "entries": { "discord": { "enabled": true } } },
        }),
    }
}

/// The name of a channel's token field.
fn token_field(channel: Channel) -> &'static str {
    if channel == Channel::Telegram { "botToken" } else { "token" }
}

/// The variable from which OpenClaw reads a provider's key.
pub fn key_name(provider: AiProvider) -> Option<&'static str> {
    match provider {
        AiProvider::None | AiProvider::Unknown => None,
        AiProvider::Anthropic => Some("ANTHROPIC_API_KEY"),
        AiProvider::Openai => Some("OPENAI_API_KEY"),
        AiProvider::Gemini => Some("GEMINI_API_KEY"),
        AiProvider::Openrouter => Some("OPENROUTER_API_KEY"),
    }
}

/// The variables that the platform writes to `.env`: the provider's key and the owner's own.
pub fn variables<'a>(settings: &GatewaySettings<'a>) -> BTreeMap<&'a str, &'a SecretString> {
    let key = key_name(settings.ai_provider).zip(settings.api_key);
    settings.env.iter().map(|(name, value)| (name.as_str(), value)).chain(key).collect()
}

/// The `.env` file of a new instance.
pub fn env_file(variables: &BTreeMap<&str, &SecretString>) -> SecretSlice<u8> {
    change_env_file(b"# Read by OpenClaw when it starts.\n", &BTreeSet::new(), variables)
}

/// The `.env` file with new variables in place of those named `before`. The owner's own lines stay, byte for byte.
pub fn change_env_file(
    existing: &[u8],
    before: &BTreeSet<String>,
    variables: &BTreeMap<&str, &SecretString>,
) -> SecretSlice<u8> {
    let is_replaced = |line: &[u8]| {
        let name = line.iter().position(|b| *b == b'=').and_then(|end| std::str::from_utf8(&line[..end]).ok());
        name.map(|name| name.trim_matches(['\u{feff}', ' ', '\t']))
            .is_some_and(|name| before.contains(name) || variables.contains_key(name))
    };
    let mut text = Vec::new();
    for line in existing.split_inclusive(|b| *b == b'\n').filter(|line| !is_replaced(line)) {
        text.extend_from_slice(line);
    }
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    for (name, value) in variables {
        // The API accepts only printable ASCII without quotes and backslashes, so quoting is enough. `$` has no meaning
        // here.
        for part in [name, "=\"", value.expose_secret(), "\"\n"] {
            text.extend_from_slice(part.as_bytes());
        }
    }
    text.into()
}

/// Deep merge: objects are merged, anything else in `over` replaces the value in `base`.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert_with(|| Value::Object(Map::new())), value);
            }
        }
        (base, over) => *base = over,
    }
}

#[cfg(test)]
mod tests;
