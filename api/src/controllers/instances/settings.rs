//! The request to change the settings of an instance, and its validation.

use std::collections::BTreeMap;

use clawdeploy_shared::{
    db::instance::{InstanceSettings, seal_context},
    ids::InstanceId,
    instance::{AiProvider, Channel},
    openclaw::key_name,
    secret::{Sealer, SecretError},
    text::BadCharacter,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::form::{CPU_MILLIS, MEMORY_MB, check_api_key, check_bot_token};
use crate::validate::{Checks, INVALID_CHARACTER, pasted};

/// Maximum number of environment variables that the owner can set.
const MAX_VARIABLES: usize = 50;

/// Maximum length of a value, in bytes.
const MAX_VALUE: usize = 4096;

/// Changes of an instance. Omitted fields keep their values.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EditInstance {
    #[schema(min_length = 1, max_length = 64)]
    pub(super) name: Option<String>,
    /// Chat channel; the earlier one is disabled
    #[schema(value_type = Option<Channel>)]
    channel: Option<String>,
    /// Token of the channel's bot; required for a new channel
    #[schema(value_type = Option<String>, write_only)]
    bot_token: Option<SecretString>,
    /// Model provider
    #[schema(value_type = Option<AiProvider>)]
    ai_provider: Option<String>,
    /// API key of the model provider; required for a new provider
    #[schema(value_type = Option<String>, write_only)]
    api_key: Option<SecretString>,
    /// Memory limit, in MiB
    #[schema(minimum = 1536, maximum = 16384)]
    memory_mb: Option<i64>,
    /// CPU limit, in thousandths of a core
    #[schema(minimum = 250, maximum = 8000)]
    cpu_millis: Option<i64>,
    /// Environment variables to set, or to remove with null; others do not change
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>, write_only)]
    env: BTreeMap<String, Option<SecretString>>,
    /// Idle minutes after which it falls asleep; 0: never; null: the server's default. Needs no new container
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 10_080)]
    pub(super) sleep_minutes: SleepMinutes,
    /// Apply the changes now in a new container; otherwise the next start, restart or update applies them
    #[serde(default)]
    #[schema(default = false)]
    pub(super) apply_now: bool,
}

/// A wish for the time after which an instance falls asleep.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum SleepMinutes {
    /// The field is omitted.
    #[default]
    Unchanged,
    /// It is null.
    ServersDefault,
    Own(i64),
}

impl<'de> Deserialize<'de> for SleepMinutes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::ServersDefault, Self::Own))
    }
}

/// A validated request. Its secrets are the new ones; the others stay sealed in the current settings.
#[derive(Debug)]
pub(super) struct Edit {
    channel: Channel,
    bot_token: Option<SecretString>,
    ai_provider: AiProvider,
    api_key: Option<SecretString>,
    memory_mb: i32,
    cpu_millis: i32,
    env: BTreeMap<String, Option<SecretString>>,
}

impl EditInstance {
    /// Validates every field against the current settings. Errors go to `checks`.
    pub(super) fn check(self, checks: &mut Checks, now: &InstanceSettings) -> Edit {
        let (bot_token, api_key) = (pasted(self.bot_token), pasted(self.api_key));
        let env: BTreeMap<_, _> =
            self.env.into_iter().map(|(name, value)| (name, value.map(|value| without_line_ends(&value)))).collect();

        let channel = checks.word("channel", self.channel.as_deref(), Channel::ALL, now.channel);
        // The same channel keeps its token.
        if let Some(channel) = channel.filter(|channel| *channel != now.channel || bot_token.is_some()) {
            check_bot_token(checks, channel, bot_token.as_ref().map(SecretString::expose_secret));
        }
        let provider = checks.word("aiProvider", self.ai_provider.as_deref(), AiProvider::ALL, now.ai_provider);
        if let Some(provider) = provider.filter(|provider| *provider != now.ai_provider || api_key.is_some()) {
            check_api_key(checks, provider, api_key.as_ref().map(SecretString::expose_secret));
        }
        let ai_provider = provider.unwrap_or(AiProvider::None);
        check_env(checks, &env, now, ai_provider);
        Edit {
            channel: channel.unwrap_or(Channel::None),
            bot_token,
            ai_provider,
            api_key,
            memory_mb: checks.number("memoryMb", self.memory_mb, MEMORY_MB, now.memory_mb),
            cpu_millis: checks.number("cpuMillis", self.cpu_millis, CPU_MILLIS, now.cpu_millis),
            env,
        }
    }
}

fn check_env(
    checks: &mut Checks,
    env: &BTreeMap<String, Option<SecretString>>,
    now: &InstanceSettings,
    provider: AiProvider,
) {
    const FIELD: &str = "env";
    for (name, value) in env {
        let value = value.as_ref().map(SecretString::expose_secret);
        if !is_variable(name) {
            let message =
                format!("{name:?} is not a valid variable name: use the form MY_VARIABLE, at most 64 characters");
            checks.fail(FIELD, "invalid", message);
        } else if let Some(value) = value {
            if is_reserved(name, provider) {
                checks.fail(FIELD, "reserved", format!("{name} is set by the platform"));
            } else if let Some(bad) = BadCharacter::find(value, is_plain) {
                checks.fail(FIELD, INVALID_CHARACTER, format!("{name} must not contain {bad}"));
            } else if value.is_empty() {
                checks.fail(FIELD, "invalid", format!("{name} must not be empty; null removes it"));
            } else if value.len() > MAX_VALUE {
                checks.fail(FIELD, "too_long", format!("{name} must be at most {MAX_VALUE} characters long"));
            }
        }
    }
    let kept = now.env_sealed.keys().filter(|name| !env.contains_key(*name)).count();
    if kept + env.values().flatten().count() > MAX_VARIABLES {
        checks.fail(FIELD, "too_many", format!("an instance may have at most {MAX_VARIABLES} variables"));
    }
}

fn is_variable(name: &str) -> bool {
    let letter = |b: u8| b.is_ascii_uppercase() || b == b'_';
    name.len() <= 64 && name.bytes().next().is_some_and(letter) && name.bytes().all(|b| letter(b) || b.is_ascii_digit())
}

/// Whether a variable is set by the platform, can change which code is loaded, or holds the provider's key, which has
/// its own field.
fn is_reserved(name: &str, provider: AiProvider) -> bool {
    let prefixes = ["OPENCLAW_", "CLAWDEPLOY_", "NODE_", "LD_", "XDG_", "MALLOC_"];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
        || ["HOME", "PATH", "TERM", "HOSTNAME"].contains(&name)
        || key_name(provider) == Some(name)
}

/// Whether a value may contain the character. Values are written between double quotes in a file that OpenClaw reads,
/// so characters that are special there are refused.
fn is_plain(c: char) -> bool {
    (c.is_ascii_graphic() || c == ' ') && !"\"'\\$`".contains(c)
}

/// A value without line breaks at its ends, which copying adds. Spaces stay.
fn without_line_ends(value: &SecretString) -> SecretString {
    SecretString::from(value.expose_secret().trim_matches(['\r', '\n', '\u{feff}']))
}

impl Edit {
    /// The new settings, with the secrets sealed for this instance.
    pub(super) fn settings(
        self,
        now: &InstanceSettings,
        id: &InstanceId,
        sealer: &Sealer,
    ) -> Result<InstanceSettings, SecretError> {
        let seal = |secret: Option<SecretString>, place, kept: Option<&String>| match secret {
            Some(secret) => sealer.seal(&secret, place).map(Some),
            None => Ok(kept.cloned()),
        };
        let kept_token = now.bot_token_sealed.as_ref().filter(|_| self.channel == now.channel);
        let kept_key = now.api_key_sealed.as_ref().filter(|_| self.ai_provider == now.ai_provider);
        let mut env_sealed = now.env_sealed.clone();
        for (name, value) in self.env {
            match value {
                Some(value) => {
                    let sealed = sealer.seal(&value, seal_context::env(id, &seal_context::env_column(&name)))?;
                    env_sealed.insert(name, sealed);
                }
                None => drop(env_sealed.remove(&name)),
            }
        }
        Ok(InstanceSettings {
            memory_mb: self.memory_mb,
            cpu_millis: self.cpu_millis,
            channel: self.channel,
            bot_token_sealed: seal(self.bot_token, seal_context::bot_token(id), kept_token)?,
            ai_provider: self.ai_provider,
            api_key_sealed: seal(self.api_key, seal_context::api_key(id), kept_key)?,
            env_sealed,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn now() -> InstanceSettings {
        InstanceSettings {
            memory_mb: 2048,
            cpu_millis: 1000,
            channel: Channel::Telegram,
            bot_token_sealed: Some("sealed".into()),
            ai_provider: AiProvider::None,
            api_key_sealed: None,
            env_sealed: BTreeMap::from([("OLD".into(), "sealed".into())]),
        }
    }

    /// The validation errors of a form, as `field code`.
    fn complaints(form: &Value) -> Vec<String> {
        let form: EditInstance = serde_json::from_value(form.clone()).unwrap();
        let mut checks = Checks::default();
        form.check(&mut checks, &now());
        let Err(error) = checks.done() else { return Vec::new() };
        let problem = serde_json::to_value(error.problem("r")).unwrap();
        let list = problem["errors"].as_array().unwrap().iter();
        list.map(|e| format!("{} {}", e["field"].as_str().unwrap(), e["code"].as_str().unwrap())).collect()
    }

    #[test]
    fn acceptable_forms() {
        for form in [
            json!({}),
            json!({ "memoryMb": 4096, "applyNow": true }),
            json!({ "channel": "telegram" }),
            json!({ "channel": "none" }),
            json!({ "botToken": "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc" }),
            json!({ "aiProvider": "openai", "apiKey": "sk-12345678" }),
            json!({ "env": { "MY_VARIABLE": "a value", "_X1": "1", "OLD": null, "NEVER_SET": null } }),
            json!({ "env": { "OPENAI_API_KEY": "a second provider's key".replace('\'', "") } }),
        ] {
            assert_eq!(complaints(&form), [""; 0], "{form}");
        }
    }

    #[test]
    fn each_field_is_checked() {
        let many: BTreeMap<String, &str> = (0..50).map(|n| (format!("V{n}"), "1")).collect();
        let table = [
            (json!({ "channel": "discord" }), "botToken required"),
            (json!({ "channel": "none", "botToken": "123456789:AAEhBOweik6ad9r_QXMENQjcrGb" }), "botToken unexpected"),
            (json!({ "botToken": "short" }), "botToken invalid"),
            (json!({ "aiProvider": "openai" }), "apiKey required"),
            (json!({ "apiKey": "sk-12345678" }), "apiKey unexpected"),
            (json!({ "memoryMb": 1 }), "memoryMb out_of_range"),
            (json!({ "env": { "lower": "1" } }), "env invalid"),
            (json!({ "env": { "1X": "1" } }), "env invalid"),
            (json!({ "env": { "": "1" } }), "env invalid"),
            (json!({ "env": { "X": "" } }), "env invalid"),
            (json!({ "env": { "X": "two\nlines" } }), "env invalid_character"),
            (json!({ "env": { "X": "$(id)" } }), "env invalid_character"),
            (json!({ "env": { "X": "\n" } }), "env invalid"),
            (json!({ "env": { "X": "x".repeat(4097) } }), "env too_long"),
            (json!({ "env": { "NODE_OPTIONS": "--require=x" } }), "env reserved"),
            (json!({ "env": { "OPENCLAW_GATEWAY_TOKEN": "x" } }), "env reserved"),
            (json!({ "env": many }), "env too_many"),
        ];
        for (form, want) in table {
            assert_eq!(complaints(&form), [want], "{form}");
        }
        let twice = json!({ "aiProvider": "openai", "apiKey": "sk-12345678", "env": { "OPENAI_API_KEY": "sk-other" } });
        assert_eq!(complaints(&twice), ["env reserved"]);
    }

    /// The error for a value that cannot be written literally names the variable, the character and its position, but
    /// not the value.
    #[test]
    fn values_are_taken_to_the_letter_or_refused_with_the_character() {
        for (value, kept) in [("a  value ", "a  value "), ("value\r\n", "value"), ("\u{feff}value", "value")] {
            let form: EditInstance = serde_json::from_value(json!({ "env": { "X": value, "Y": "1" } })).unwrap();
            let mut checks = Checks::default();
            let edit = form.check(&mut checks, &now());
            checks.done().unwrap();
            let values: Vec<_> = edit.env.values().map(|value| value.as_ref().unwrap().expose_secret()).collect();
            assert_eq!(values, [kept, "1"]);
        }
        for (value, want) in [
            ("pa$$w\"d", "U+0024 at position 3"),
            ("key 🦞", "U+1F99E at position 5"),
            ("two\nlines", "U+000A (line break) at position 4"),
            ("a\0b", "U+0000 (NUL) at position 2"),
        ] {
            let form: EditInstance = serde_json::from_value(json!({ "env": { "X": value, "Y": "1" } })).unwrap();
            let mut checks = Checks::default();
            form.check(&mut checks, &now());
            let problem = checks.done().unwrap_err();
            let problem = serde_json::to_value(problem.problem("r")).unwrap();
            assert_eq!(problem["detail"], format!("env X must not contain {want}."));
            assert_eq!(problem["errors"].as_array().unwrap().len(), 1);
        }
    }

    #[test]
    fn what_is_not_named_stays() {
        let sealer = Sealer::from_key(&[7; 32]).unwrap();
        let (id, now) = (InstanceId::random(), now());
        let edit = |form: Value| {
            let form: EditInstance = serde_json::from_value(form).unwrap();
            form.check(&mut Checks::default(), &now).settings(&now, &id, &sealer).unwrap()
        };
        assert_eq!(edit(json!({})), now);
        assert_eq!(edit(json!({ "channel": "none" })).bot_token_sealed, None);
        let with_env = edit(json!({ "env": { "NEW": "1" } }));
        assert_eq!(with_env.env_sealed.keys().collect::<Vec<_>>(), ["NEW", "OLD"]);
        assert_eq!(edit(json!({ "env": { "OLD": null } })).env_sealed, BTreeMap::new());
    }
}
