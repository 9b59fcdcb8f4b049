//! The files that OpenClaw reads: `openclaw.json` and `.env`.
//!
//! OpenClaw refuses unknown keys and exits with 78, so nothing is written here that its schema does not know.
//! The owner may change the file, in the dashboard or the terminal; on later starts only the subtrees that the
//! platform needs in order to reach the gateway are put back, everything else is left as it is found.

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

/// Where the workspace is mounted. It is not below the config directory: a mount point inside a directory that the
/// tenant may write is one that the tenant may replace by a link before the next start.
pub const WORKSPACE_DIR: &str = "/home/node/workspace";

/// What the files are made from.
#[derive(Debug)]
pub struct GatewaySettings<'a> {
    pub id: &'a InstanceId,
    pub token: &'a SecretString,
    pub channel: Channel,
    pub bot_token: Option<&'a SecretString>,
    pub ai_provider: AiProvider,
    pub api_key: Option<&'a SecretString>,
    /// Environment variables of the owner's.
    pub env: &'a BTreeMap<String, SecretString>,
    pub routing: &'a RoutingArgs,
    pub port: u16,
    /// Address from which the host's nginx arrives: the gateway of the instance's network.
    pub proxy: Ipv4Addr,
    /// Version of OpenClaw, for its note of who set it up.
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

/// What is changed in a file that the owner may have changed, too; everything else in it stays.
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
    /// Puts the platform's subtrees back.
    pub fn platform(settings: &GatewaySettings<'_>) -> Self {
        Self { values: platform_config(settings), removed: Vec::new() }
    }

    /// Another channel, or another bot. The channel that there was is switched off and loses its token; what the owner has set
    /// in it stays.
    #[must_use]
    pub fn channel(mut self, before: Channel, settings: &GatewaySettings<'_>) -> Self {
        if before != settings.channel && before != Channel::None {
            merge(&mut self.values, json!({ "channels": { before.as_str(): { "enabled": false } } }));
            // A secret that is needed no more is kept no more: who prints the file would tell it.
            self.removed.push(vec!["channels", before.as_str(), token_field(before)]);
        }
        merge(&mut self.values, channel_config(settings.channel, settings.bot_token));
        self
    }

    /// Another provider's model.
    #[must_use]
    pub fn provider(mut self, settings: &GatewaySettings<'_>) -> Self {
        merge(&mut self.values, model_config(settings.ai_provider));
        self
    }

    /// The text of the file with the change, or `None` where everything is so already.
    pub fn apply(self, text: &str) -> Result<Option<String>, EditError> {
        let Value::Object(values) = self.values else { return Ok(None) };
        Patch { values, removed: self.removed }.apply(text)
    }
}

/// What must be so for the platform to reach the gateway, and for nobody else to.
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
        // Without a proxy in front no header may name one: with `trustedProxies` set, OpenClaw answers 403 to whatever
        // comes from that address without `X-Forwarded-For`, a browser on this machine included.
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

/// The model that OpenClaw's own onboarding picks for each provider; without one it asks OpenAI whatever the key.
fn model_config(provider: AiProvider) -> Value {
    let primary = match provider {
        // `Unknown` does not get here: see `Instance::known_settings`.
        AiProvider::None | AiProvider::Unknown => return json!({}),
        AiProvider::Anthropic => "anthropic/claude-opus-5",
        AiProvider::Openai => "openai/gpt-6-astra",
        AiProvider::Gemini => "google/gemini-3.1-pro-preview",
        AiProvider::Openrouter => "openrouter/auto",
    };
    let mut defaults = json!({ "model": { "primary": primary } });
    if provider == AiProvider::Openai {
        // Otherwise OpenClaw wants its codex plugin from npm at boot, and exits where it cannot have it.
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
        // Discord is not bundled: OpenClaw installs the plugin at first boot, and trusts it only with this entry.
        Channel::Discord => json!({
            "channels": { "discord": { "enabled": true, "token": token } },
            "plugins": { "entries": { "discord": { "enabled": true } } },
        }),
    }
}

/// Where a channel keeps its bot's token.
fn token_field(channel: Channel) -> &'static str {
    if channel == Channel::Telegram { "botToken" } else { "token" }
}

/// The variable that OpenClaw reads a provider's key from.
pub fn key_name(provider: AiProvider) -> Option<&'static str> {
    match provider {
        AiProvider::None | AiProvider::Unknown => None,
        AiProvider::Anthropic => Some("ANTHROPIC_API_KEY"),
        AiProvider::Openai => Some("OPENAI_API_KEY"),
        AiProvider::Gemini => Some("GEMINI_API_KEY"),
        AiProvider::Openrouter => Some("OPENROUTER_API_KEY"),
    }
}

/// What the platform writes into `.env`: the provider's key and the owner's own variables.
pub fn variables<'a>(settings: &GatewaySettings<'a>) -> BTreeMap<&'a str, &'a SecretString> {
    let key = key_name(settings.ai_provider).zip(settings.api_key);
    settings.env.iter().map(|(name, value)| (name.as_str(), value)).chain(key).collect()
}

/// The `.env` file of a new instance.
pub fn env_file(variables: &BTreeMap<&str, &SecretString>) -> SecretSlice<u8> {
    change_env_file(b"# Read by OpenClaw when it starts.\n", &BTreeSet::new(), variables)
}

/// The `.env` file with other variables in the place of those that there were by the names `before`; the owner's own
/// lines stay, byte for byte.
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
        // The API admits printable ASCII without quotes or backslashes only, so quoting is enough. `$` is nothing special.
        for part in [name, "=\"", value.expose_secret(), "\"\n"] {
            text.extend_from_slice(part.as_bytes());
        }
    }
    text.into()
}

/// Deep merge: objects are joined, everything else in `over` replaces what is in `base`.
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
