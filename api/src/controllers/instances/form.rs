//! The request to create an instance, and its validation.

use clawdeploy_shared::{
    instance::{AiProvider, Channel, DEFAULT_CPU_MILLIS, DEFAULT_MEMORY_MB},
    text::BadCharacter,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    error::AppResult,
    validate::{Checks, pasted},
};

/// Bounds in MiB. With less memory, OpenClaw's own checks are killed.
pub(crate) const MEMORY_MB: (i32, i32) = (1536, 16384);

pub(super) const CPU_MILLIS: (i32, i32) = (250, 8000);

/// An instance to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateInstance {
    /// Name; unique among your instances, 1 to 64 characters
    #[serde(default)]
    #[schema(required, min_length = 1, max_length = 64, example = "first")]
    name: String,
    /// Chat channel to set up; more can be added in the dashboard
    #[schema(value_type = Option<Channel>, default = "none")]
    channel: Option<String>,
    /// Token of the channel's bot; required for `telegram` and `discord`, refused otherwise
    #[schema(value_type = Option<String>, write_only)]
    bot_token: Option<SecretString>,
    /// Model provider to set up
    #[schema(value_type = Option<AiProvider>, default = "none")]
    ai_provider: Option<String>,
    /// API key of the model provider; required with a provider, refused otherwise
    #[schema(value_type = Option<String>, write_only)]
    api_key: Option<SecretString>,
    /// Memory limit, in MiB
    #[schema(minimum = 1536, maximum = 16384, default = 2048)]
    memory_mb: Option<i64>,
    /// CPU limit, in thousandths of a core
    #[schema(minimum = 250, maximum = 8000, default = 1000)]
    cpu_millis: Option<i64>,
}

/// A validated request.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) channel: Channel,
    pub(super) bot_token: Option<SecretString>,
    pub(super) ai_provider: AiProvider,
    pub(super) api_key: Option<SecretString>,
    pub(super) memory_mb: i32,
    pub(super) cpu_millis: i32,
}

impl CreateInstance {
    /// Validates every field and reports all errors together.
    pub(super) fn check(self) -> AppResult<Draft> {
        let mut checks = Checks::default();
        let name = checks.name("name", &self.name);
        let (bot_token, api_key) = (pasted(self.bot_token), pasted(self.api_key));

        let channel = checks.word("channel", self.channel.as_deref(), Channel::ALL, Channel::None);
        if let Some(channel) = channel {
            check_bot_token(&mut checks, channel, bot_token.as_ref().map(SecretString::expose_secret));
        }
        let provider = checks.word("aiProvider", self.ai_provider.as_deref(), AiProvider::ALL, AiProvider::None);
        if let Some(provider) = provider {
            check_api_key(&mut checks, provider, api_key.as_ref().map(SecretString::expose_secret));
        }
        let memory_mb = checks.number("memoryMb", self.memory_mb, MEMORY_MB, DEFAULT_MEMORY_MB);
        let cpu_millis = checks.number("cpuMillis", self.cpu_millis, CPU_MILLIS, DEFAULT_CPU_MILLIS);

        checks.done()?;
        let (channel, ai_provider) = (channel.unwrap_or(Channel::None), provider.unwrap_or(AiProvider::None));
        Ok(Draft { name, channel, bot_token, ai_provider, api_key, memory_mb, cpu_millis })
    }
}

pub(super) fn check_bot_token(checks: &mut Checks, channel: Channel, token: Option<&str>) {
    const FIELD: &str = "botToken";
    match (channel, token) {
        (Channel::None, Some(_)) => {
            checks.fail(FIELD, "unexpected", "is only allowed with the channel telegram or discord");
        }
        (Channel::Telegram | Channel::Discord, None) => {
            checks.fail(FIELD, "required", format!("is required for channel {channel}"));
        }
        (Channel::Telegram, Some(token)) => {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':');
            if let Some(bad) = BadCharacter::find(token, allowed) {
                checks.bad_character(FIELD, bad);
            } else if !is_telegram_token(token) {
                checks.fail(FIELD, "invalid", "must have the form 123456789:AbC..., as shown by @BotFather");
            }
        }
        (Channel::Discord, Some(token)) => {
            if let Some(bad) = BadCharacter::find(token, |c| c.is_ascii_graphic()) {
                checks.bad_character(FIELD, bad);
            } else if !(20..=200).contains(&token.len()) {
                checks.fail(FIELD, "invalid", "must be 20 to 200 characters long, as the bot's page shows it");
            }
        }
        // `Unknown` cannot be requested.
        (Channel::None, None) | (Channel::Unknown, _) => {}
    }
}

pub(super) fn check_api_key(checks: &mut Checks, provider: AiProvider, key: Option<&str>) {
    const FIELD: &str = "apiKey";
    match (provider == AiProvider::None, key) {
        (true, Some(_)) => checks.fail(FIELD, "unexpected", "is only allowed with an aiProvider"),
        (false, None) => checks.fail(FIELD, "required", format!("is required for aiProvider {provider}")),
        (false, Some(key)) => {
            // The key is written between double quotes in a file that OpenClaw reads, so characters that are special
            // there are refused.
            let allowed = |c: char| c.is_ascii_graphic() && !"\"'\\$`".contains(c);
            if let Some(bad) = BadCharacter::find(key, allowed) {
                checks.bad_character(FIELD, bad);
            } else if !(8..=512).contains(&key.len()) {
                checks.fail(FIELD, "invalid", "must be 8 to 512 characters long");
            }
        }
        (true, None) => {}
    }
}

/// `123456:AbC...`: at least six digits, a colon, and at least twenty other characters.
fn is_telegram_token(token: &str) -> bool {
    let Some((id, secret)) = token.split_once(':') else { return false };
    id.len() >= 6
        && id.bytes().all(|b| b.is_ascii_digit())
        && secret.len() >= 20
        && !secret.contains(':')
        && token.len() <= 200
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const TELEGRAM: &str = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc";

    /// The validation errors of a form, as `field code`.
    fn complaints(mut form: Value) -> Vec<String> {
        if form.get("name").is_none() {
            form["name"] = "first".into();
        }
        let form: CreateInstance = serde_json::from_value(form).unwrap();
        let Err(error) = form.check() else { return Vec::new() };
        let problem = serde_json::to_value(error.problem("r")).unwrap();
        let list = problem["errors"].as_array().unwrap().iter();
        list.map(|e| format!("{} {}", e["field"].as_str().unwrap(), e["code"].as_str().unwrap())).collect()
    }

    #[test]
    fn acceptable_forms() {
        for form in [
            json!({}),
            json!({ "channel": "none", "aiProvider": "none", "botToken": "", "apiKey": null }),
            json!({ "channel": "telegram", "botToken": TELEGRAM }),
            json!({ "channel": "discord", "botToken": "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs" }),
            json!({ "aiProvider": "anthropic", "apiKey": "sk-ant-api03-_x/y+z=" }),
            json!({ "memoryMb": 1536, "cpuMillis": 8000 }),
        ] {
            assert_eq!(complaints(form.clone()), [""; 0], "{form}");
        }
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let form: CreateInstance = serde_json::from_value(json!({ "name": " first " })).unwrap();
        let draft = form.check().unwrap();
        assert_eq!((draft.name.as_str(), draft.channel, draft.ai_provider), ("first", Channel::None, AiProvider::None));
        assert_eq!((draft.memory_mb, draft.cpu_millis), (2048, 1000));
    }

    #[test]
    fn each_field_is_checked() {
        let table = [
            (json!({ "name": "" }), "name required"),
            (json!({ "channel": "sms" }), "channel unknown_value"),
            (json!({ "channel": "telegram" }), "botToken required"),
            (json!({ "channel": "discord", "botToken": "" }), "botToken required"),
            (json!({ "botToken": TELEGRAM }), "botToken unexpected"),
            (
                json!({ "channel": "telegram", "botToken": "12345:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K" }),
                "botToken invalid",
            ),
            (json!({ "channel": "telegram", "botToken": "123456:short" }), "botToken invalid"),
            (json!({ "channel": "telegram", "botToken": format!("{TELEGRAM}:x") }), "botToken invalid"),
            (json!({ "channel": "telegram", "botToken": format!("12\n{TELEGRAM}") }), "botToken invalid_character"),
            (json!({ "channel": "telegram", "botToken": " \n" }), "botToken required"),
            (
                json!({ "channel": "discord", "botToken": "has a space in the middle of it" }),
                "botToken invalid_character",
            ),
            (json!({ "channel": "discord", "botToken": "x".repeat(201) }), "botToken invalid"),
            (json!({ "aiProvider": "gpt" }), "aiProvider unknown_value"),
            (json!({ "aiProvider": "openai" }), "apiKey required"),
            (json!({ "apiKey": "sk-12345678" }), "apiKey unexpected"),
            (json!({ "aiProvider": "openai", "apiKey": "short" }), "apiKey invalid"),
            (json!({ "aiProvider": "openai", "apiKey": "with\"quote" }), "apiKey invalid_character"),
            (json!({ "aiProvider": "openai", "apiKey": "with'quote" }), "apiKey invalid_character"),
            (json!({ "aiProvider": "openai", "apiKey": "with\\slash" }), "apiKey invalid_character"),
            (json!({ "aiProvider": "openai", "apiKey": "with$dollar" }), "apiKey invalid_character"),
            (json!({ "aiProvider": "openai", "apiKey": "with`tick`" }), "apiKey invalid_character"),
            (json!({ "aiProvider": "openai", "apiKey": "with space" }), "apiKey invalid_character"),
            (json!({ "aiProvider": "openai", "apiKey": "with\nline" }), "apiKey invalid_character"),
            (json!({ "aiProvider": "openai", "apiKey": "mit-Umläuten" }), "apiKey invalid_character"),
            (json!({ "aiProvider": "openai", "apiKey": "x".repeat(513) }), "apiKey invalid"),
            (json!({ "memoryMb": 1535 }), "memoryMb out_of_range"),
            (json!({ "memoryMb": 16385 }), "memoryMb out_of_range"),
            (json!({ "memoryMb": i64::MAX }), "memoryMb out_of_range"),
            (json!({ "cpuMillis": 249 }), "cpuMillis out_of_range"),
            (json!({ "cpuMillis": -1 }), "cpuMillis out_of_range"),
        ];
        for (form, want) in table {
            assert_eq!(complaints(form.clone()), [want], "{form}");
        }
    }

    #[test]
    fn blanks_around_secrets_are_dropped_and_a_character_inside_is_named() {
        let form = json!({
            "name": "first", "channel": "telegram", "botToken": format!("\u{feff} {TELEGRAM}\r\n"),
            "aiProvider": "openai", "apiKey": "\tsk-12345678\u{200b}\u{a0}",
        });
        let draft = serde_json::from_value::<CreateInstance>(form).unwrap().check().unwrap();
        assert_eq!(draft.bot_token.unwrap().expose_secret(), TELEGRAM);
        assert_eq!(draft.api_key.unwrap().expose_secret(), "sk-12345678");

        let form = json!({ "name": "first", "aiProvider": "openai", "apiKey": " sk-123\u{200b}45678" });
        let error = serde_json::from_value::<CreateInstance>(form).unwrap().check().unwrap_err();
        let problem = serde_json::to_value(error.problem("r")).unwrap();
        assert_eq!(problem["detail"], "apiKey must not contain U+200B (zero width space) at position 7.");
    }

    #[test]
    fn all_complaints_come_together() {
        let form = json!({ "name": " ", "channel": "telegram", "aiProvider": "openai", "memoryMb": 1, "cpuMillis": 1 });
        let want = [
            "name required",
            "botToken required",
            "apiKey required",
            "memoryMb out_of_range",
            "cpuMillis out_of_range",
        ];
        assert_eq!(complaints(form), want);
    }
}
